"""The list of one clinic on paper: for the day on which no screen works.

Belongs here: what stands on the sheets. Everything open is on them, in order; a list longer than paper can be used for
says on its first sheet how many rows it leaves out.
"""

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from pipelines.page.entry_forms import entries
from pipelines.page.lists.filters import Filters
from pipelines.page.lists.raised import raised
from pipelines.page.lists.remarks import remarks
from pipelines.page.lists.row_words import TIER_SIGNS, shown
from pipelines.page.lists.unread import tier_words, unread
from pipelines.page.lists.worklist_rows import count, names, rows
from pipelines.page.rendering import page
from pipelines.page.security import access
from pipelines.page.visit import Visit, shown_to
from schemas.forms.wording import stop_text

ROWS_AT_MOST = 2_000  # some 160 sheets


@shown_to("worklist")
def printed(visit: Visit) -> Response:
    """The printable list of the clinic that the address names; no sensitive answer stands on paper."""
    clinic = visit.clinic
    if clinic is None:
        raise HTTPException(404)
    access.note(visit, "print")
    with visit.opened((clinic,), places=visit.now) as reading:
        everything = Filters()
        counts, named = count(reading, everything), names(reading)
        not_read, entered = unread(visit, reading), entries.pending(visit, clinic, reading.cursor)
        found = rows(reading, everything, 1, ROWS_AT_MOST)
        listed = [
            (shown(row, named, visit.zone, visit.now, answers=False), remarks(row, reading, entered, not_read))
            for row in found
        ]
        return page(
            visit,
            "print.html",
            clinic=clinic,
            phone=visit.settings.clinic(clinic).phone,
            rows=listed,
            left_out=counts.open - len(listed),
            counts=counts,
            unread=not_read,
            raised=raised(visit, reading.cursor),
            entry_troubles=entries.troubles(visit, [clinic]),
            unread_tier=tier_words,
            stop=stop_text(),
            signs=TIER_SIGNS,
        )


routes = [Route("/print", printed)]
