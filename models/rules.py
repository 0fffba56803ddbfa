"""The red-flag rules: the names that other modules use, from one place.

Belongs here: nothing but these names. What a rule is: ``models.rule_files``; the language it is written in:
``models.rule_language``; how answers are prepared: ``models.rule_facts``; three-valued results:
``models.rule_evaluation``; the tier that follows: ``models.rule_tiers``.
"""

from __future__ import annotations

from models.rule_evaluation import CANNOT_TELL, NO, NOT_ASKED, YES, RuleResults, evaluate
from models.rule_facts import facts_from
from models.rule_files import NotExpressible, Rule, RulesError, RuleSet, load_not_expressible, load_rules
from models.rule_tiers import raise_one_tier, rule_conditions, rule_tiers

__all__ = [
    "CANNOT_TELL",
    "NO",
    "NOT_ASKED",
    "YES",
    "NotExpressible",
    "Rule",
    "RuleResults",
    "RuleSet",
    "RulesError",
    "evaluate",
    "facts_from",
    "load_not_expressible",
    "load_rules",
    "raise_one_tier",
    "rule_conditions",
    "rule_tiers",
]
