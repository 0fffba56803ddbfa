"""Sensitive facts that hide in a published row, and a row without them.

Belongs here: taking out of a row what tells of a sensitive answer, for whoever is no clinician of the treating clinic,
and for paper. A rule that fired or cannot tell stays in view for everybody: its text is the criterion, and hiding it
could cost somebody a day. So do the questions to ask: that one is open tells no answer. Does not belong here: which
parts tell (``schemas.sensitive_parts``), the answers (``pipelines.page.answers_shown``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.sensitive_rules import settled_by_sensitive_answers
from schemas.sensitive_parts import MARKED, sensitive_columns, sensitive_parts

SETTLED = ("no", "not_asked")


@dataclass(frozen=True, slots=True)
class Disclosed:
    """A row as somebody may see it, and how many findings, marks and rule results of it they may not."""

    row: Mapping[str, Any]
    findings: int = 0
    marks: int = 0
    rules: int = 0

    @property
    def withheld(self) -> str:
        """One sentence on what is left out; empty where nothing is."""
        counted = {"finding": self.findings, "mark": self.marks, "rule result": self.rules}
        parts = [f"{count} {what}{'' if count == 1 else 's'}" for what, count in counted.items() if count]
        return f"{', '.join(parts)} on sensitive answers: shown to clinicians of this clinic only." if parts else ""


def disclosed(row: Mapping[str, Any], *, answers: bool) -> Disclosed:
    """The row of ``referrals`` whole where ``answers`` may be seen, else without what tells of a sensitive one."""
    if answers:
        return Disclosed(row)
    sensitive, settled = set(sensitive_columns()), settled_by_sensitive_answers()
    hidden_marks = {part.left_out for part in sensitive_parts() if part.column == MARKED}
    reasons = [one for one in row["reasons"] or [] if one["column"] not in sensitive]
    special = [mark for mark in row["special"] or [] if mark not in hidden_marks]
    rules = [one for one in row["rule_status"] or [] if one["id"] not in settled or one["result"] not in SETTLED]
    told = dict(row) | {"reasons": reasons, "special": special, "rule_status": rules}
    for part in sensitive_parts():
        if part.column != MARKED and told.get(part.column):
            told[part.column] = told[part.column].replace(part.left_out, part.put_instead)
    return Disclosed(
        told,
        findings=len(row["reasons"] or []) - len(reasons),
        marks=len(row["special"] or []) - len(special),
        rules=len(row["rule_status"] or []) - len(rules),
    )
