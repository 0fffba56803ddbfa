"""Sensitive facts that hide in a published row, and a row without them.

Belongs here: taking out of a row what tells of a sensitive answer, for whoever is no clinician of the treating clinic,
and for paper. A rule that fired or cannot tell stays in view for everybody: its text is the criterion, and hiding it
could cost somebody a day. So do the questions to ask: that one is open tells no answer. Does not belong here: which
parts tell (``schemas.sensitive_parts``), the answers (``pipelines.page.records.answers_shown``).
"""

from collections.abc import Mapping
from typing import Any

from models.sensitive_rules import settled_by_sensitive_answers
from schemas.sensitive_parts import MARKED, SETTLED, sensitive_columns, sensitive_parts

# The same words whether anything is left out or not: a count of what is left out, or its absence, would tell of it.
WITHHELD = "What tells of sensitive answers is left out here: it is shown to clinicians of this clinic only."


def disclosed(row: Mapping[str, Any], *, answers: bool) -> Mapping[str, Any]:
    """The row of ``referrals`` whole where ``answers`` may be seen, else without what tells of a sensitive one."""
    if answers:
        return row
    sensitive, settled = set(sensitive_columns()), settled_by_sensitive_answers()
    hidden_marks = {part.left_out for part in sensitive_parts() if part.column == MARKED}
    reasons = [one for one in row["reasons"] or [] if one["column"] not in sensitive]
    special = [mark for mark in row["special"] or [] if mark not in hidden_marks]
    rules = [one for one in row["rule_status"] or [] if one["id"] not in settled or one["result"] not in SETTLED]
    told = dict(row) | {"reasons": reasons, "special": special, "rule_status": rules}
    for column in {part.column for part in sensitive_parts()} - {MARKED}:
        if told.get(column):
            told[column] = without_phrases(column, told[column])
    return told


def without_phrases(column: str, text: str) -> str:
    """A text as it stands in this column of ``referrals``, without the phrases that tell of a sensitive answer."""
    for part in sensitive_parts():
        if part.column == column:
            text = text.replace(part.left_out, part.put_instead)
    return text
