"""What a published row tells of sensitive answers, beside the entries that name a sensitive question.

Belongs here: the columns, marks and phrases of ``sensitive_parts.csv``, and which questions are sensitive. Does not
belong here: taking them out of a table (``warehouse.without_sensitive``) or a page.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from schemas.form import form
from schemas.package_rows import read_rows

MARKED = "special"  # the column of marks; in the others of the file a phrase of a text is meant
SETTLED = ("no", "not_asked")  # results of a rule that tell the sensitive answer which settled it


@dataclass(frozen=True, slots=True)
class SensitivePart:
    """``left_out``: a mark of ``special``, or a phrase of the text in ``column``; ``put_instead`` takes its place."""

    column: str
    left_out: str
    put_instead: str


@cache
def sensitive_parts() -> tuple[SensitivePart, ...]:
    """Every part of the file."""
    return tuple(
        SensitivePart(row["column"], row["left_out"], row["put_instead"]) for row in read_rows("sensitive_parts.csv")
    )


@cache
def sensitive_columns() -> tuple[str, ...]:
    """Columns of the intake form whose answers are for the treating clinic's clinicians only, in order of the form."""
    return tuple(question.column for question in form() if question.sensitivity == "sensitive")
