"""Codes for what can be wrong with a file, a record or a cell, read from ``problems.csv``.

Belongs here: the code, its severity and its plain sentence. Does not belong here: finding the problem
(``schemas.contract``, the readers) or keeping it (``warehouse``).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal


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

    Holds the code and, where it helps, the names of the form's own columns; never text of the file.
    """

    def __init__(self, code: str, columns: tuple[str, ...] = ()) -> None:
        self.code = code
        self.columns = columns
        super().__init__(refusal_sentence(code, columns))


@cache
def problems() -> dict[str, Problem]:
    """Every problem by code."""
    text = resources.files("schemas").joinpath("problems.csv").read_text("utf-8")
    return {row["code"]: Problem(**row) for row in csv.DictReader(text.splitlines())}  # type: ignore[arg-type]


def refusal_sentence(code: str, columns: tuple[str, ...] = ()) -> str:
    """One plain sentence on why a file was refused and how to mend it."""
    problem = problems()[code]
    named = f" ({', '.join(columns)})" if columns else ""
    return f"{problem.sentence}{named}: {problem.mend}"
