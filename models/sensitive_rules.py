"""Which rules a sensitive answer can settle by itself.

Belongs here: finding them in the rules. Does not belong here: what is hidden of them (``warehouse.without_sensitive``,
``pipelines.page``).
"""

from __future__ import annotations

from functools import cache

from models.rule_files import load_rules
from models.rule_language import Conjunct
from schemas.sensitive_parts import sensitive_columns


@cache
def settled_by_sensitive_answers() -> frozenset[str]:
    """Ids of rules with a part that sensitive answers alone decide: that such a rule is absent tells the answer."""
    sensitive = set(sensitive_columns())

    def is_settled(part: Conjunct) -> bool:
        columns = set(part.columns())
        return bool(columns) and columns <= sensitive

    return frozenset(rule.id for rule in load_rules().rules if any(map(is_settled, (*rule.core, *rule.other))))
