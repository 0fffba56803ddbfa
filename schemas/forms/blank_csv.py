"""The blank form as CSV: the header of the canonical file."""

from __future__ import annotations

from schemas.form import form
from schemas.forms.wording import AUDIENCES, Audience


def blank_csv(audiences: tuple[Audience, ...] = AUDIENCES) -> str:
    """One line of column names in the order of the form: what ``audiences`` are asked, and the record's own columns.

    Leaves out what nobody is asked: derived columns, and movements that are never tried on request.
    """
    asked = (q.column for q in form() if q.ask == "ask" and q.asked_of in (*audiences, "system"))
    return ",".join(asked) + "\n"
