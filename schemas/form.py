"""The intake form, read from ``intake_form.csv``: the single source of every column, its type and its limits.

Belongs here: questions and what may stand in their cells. Does not belong here: reading cells
(``schemas.answers``), judging records (``schemas.contract``), or what an answer means clinically (``models``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from schemas.package_rows import read_rows

AnswerType = Literal["text", "timestamp", "choice", "integer", "number", "yesno"]

REQUIRED_COLUMNS = ("record_id", "clinic_id", "submitted_at")
FREE_TEXT_COLUMN = "notes"
NONE_OF_THESE = "none_of_these"
_FORM = "intake_form.csv"


@dataclass(frozen=True, slots=True)
class Question:
    """One column of the form, as its row in ``intake_form.csv`` states it.

    ``allowed`` bounds what can be read at all (outside it a record is quarantined); ``plausible`` bounds what is
    taken without review (outside it the answer is kept and the record reviewed).
    """

    column: str
    group: str
    type: AnswerType
    allowed: str
    plausible: str
    unit: str
    asked_of: str
    step: int
    ask: str
    sensitivity: str
    same_fact_as: str
    question: str

    @property
    def choices(self) -> tuple[str, ...]:
        """The answers a ``choice`` or ``yesno`` column may hold; empty for other types."""
        return tuple(self.allowed.split("|")) if self.type in ("choice", "yesno") else ()

    @property
    def allowed_range(self) -> tuple[float, float] | None:
        """Lowest and highest readable number, in ``unit``; None for columns that hold no number."""
        return _range(self.allowed) if self.type in ("integer", "number") else None

    @property
    def plausible_range(self) -> tuple[float, float] | None:
        """Lowest and highest number taken without review; None where the form states none."""
        return _range(self.plausible) if self.plausible else None

    @property
    def box_group(self) -> str | None:
        """The name before ``__`` for a box of a group (``systemic__fever`` gives ``systemic``); else None."""
        return self.column.partition("__")[0] if self.type == "yesno" and "__" in self.column else None


def _range(bounds: str) -> tuple[float, float]:
    low, _, high = bounds.partition("..")
    return float(low), float(high)


def read_form(name: str) -> tuple[Question, ...]:
    """The questions of a form file of this package, in its order."""
    return tuple(Question(**{**row, "step": int(row["step"])}) for row in read_rows(name))  # type: ignore[arg-type]


@cache
def form() -> tuple[Question, ...]:
    """Every question, in the order of the form."""
    return read_form(_FORM)


@cache
def questions() -> dict[str, Question]:
    """The questions by column name."""
    return {question.column: question for question in form()}


@cache
def answer_columns() -> tuple[str, ...]:
    """Columns that state something about the person or the pain: all but keys, times, the form's filler and notes."""
    return tuple(q.column for q in form() if q.group not in ("record", "free text"))


@cache
def red_flag_questions() -> tuple[Question, ...]:
    """The yes/no questions of the safety step: the whole screen and the others asked first, without the none boxes."""
    return tuple(
        q
        for q in form()
        if q.type == "yesno" and (q.group == "screen" or q.step == 1) and not q.column.endswith(NONE_OF_THESE)
    )


@cache
def form_digest() -> str:
    """SHA-256 (hex) of the form file; part of the contract version."""
    return hashlib.sha256(resources.files("schemas").joinpath(_FORM).read_bytes()).hexdigest()
