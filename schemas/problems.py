"""Codes for what can be wrong with a file, a record or a cell, read from ``problems.csv``.

Belongs here: the code, its severity and its plain sentence. Does not belong here: finding the problem
(``schemas.contract``, the readers) or keeping it (``warehouse``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from schemas.package_rows import read_rows

# How a person may have dealt with a form that could not be read.
DismissReason = Literal["entered_by_hand", "telephoned", "sent_again", "not_a_patient", "test_record"]
DISMISS_REASONS: tuple[DismissReason, ...] = get_args(DismissReason)


@dataclass(frozen=True, slots=True)
class Problem:
    """One code. ``refuse`` keeps a file out, ``reject`` quarantines a record, ``warn`` lets it on to be reviewed.

    ``note`` is counted and needs nobody.
    """

    code: str
    severity: Literal["refuse", "reject", "warn", "note"]
    scope: Literal["file", "record", "cell"]
    sentence: str
    mend: str


class FileRefused(Exception):
    """A whole file that cannot be taken in.

    Holds the code and, where it helps, the names of the form's own columns; never text of the file. ``place``: where
    the program met an error of its own, as its kind and place.
    """

    def __init__(self, code: str, columns: tuple[str, ...] = (), place: str | None = None) -> None:
        self.code = code
        self.columns = columns
        self.place = place
        super().__init__(refusal_sentence(code, columns))


def read_problems(name: str) -> dict[str, Problem]:
    """The problems of a file of this package, by code."""
    return {row["code"]: Problem(**row) for row in read_rows(name)}  # type: ignore[arg-type]


@cache
def problems() -> dict[str, Problem]:
    """Every problem by code."""
    return read_problems("problems.csv")


def refusal_sentence(code: str, columns: tuple[str, ...] = ()) -> str:
    """One plain sentence on why a file was refused and how to mend it."""
    problem = problems()[code]
    named = f" ({', '.join(columns)})" if columns else ""
    return f"{problem.sentence}{named}: {problem.mend}"
