"""What is wrong with a refused cell or record, in plain words: the sentence, what is allowed there, and how to mend it.

Belongs here: putting code and column together, for the four kinds of files. Never a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.decisions import decision_form, decision_problems
from schemas.form import Question, form
from schemas.limits import limits
from schemas.outcomes import outcome_form, outcome_problems
from schemas.problems import Problem, problems
from schemas.safety_concerns import safety_concern_form, safety_concern_problems

Contents = Literal["intake", "outcome", "decision", "safety_concern"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is wrong, what is allowed in the column, the source of that limit, and how to mend it.

    ``allowed`` and ``source`` are '' where there is nothing to say.
    """

    sentence: str
    allowed: str
    source: str
    mend: str

    @property
    def in_full(self) -> str:
        """All of it as one sentence."""
        allowed = self.allowed and f"allowed: {self.allowed}" + (f" ({self.source})" if self.source else "")
        return "; ".join(part for part in (self.sentence, allowed, self.mend) if part)


def explained(code: str, column: str | None = None, contents: Contents = "intake") -> Explanation:
    """Explain a code of ``problems.csv``, or of the problems of files of another kind, in a column."""
    questions, known = _of(contents)
    problem = known.get(code) or problems()[code]
    question = questions.get(column or "")
    limit = limits().get((column or "", "plausible" if code == "implausible" else "allowed"))
    source = limit.said if limit and code in ("outside_allowed", "implausible") else ""
    return Explanation(problem.sentence, _allowed(question, code) if question else "", source, problem.mend)


def _of(contents: Contents) -> tuple[dict[str, Question], dict[str, Problem]]:
    match contents:
        case "outcome":
            return {q.column: q for q in outcome_form()}, outcome_problems()
        case "decision":
            return {q.column: q for q in decision_form()}, decision_problems()
        case "safety_concern":
            return {q.column: q for q in safety_concern_form()}, safety_concern_problems()
    return {q.column: q for q in form()}, problems()


def _allowed(question: Question, code: str) -> str:
    if question.choices:
        return ", ".join(question.choices)
    bounds = question.plausible_range if code == "implausible" else question.allowed_range
    if bounds:
        low, high = bounds
        whole = "whole number " if question.type == "integer" else ""
        unit = question.unit if question.unit[:1].isalpha() or question.unit[:1] == "%" else ""
        return f"{whole}{low:g} to {high:g} {unit}".strip()
    return question.allowed
