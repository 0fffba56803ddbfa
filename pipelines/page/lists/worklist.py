"""The worklist page: what could not be read first, then who comes first, by when, and why.

Belongs here: the order of the page. Filters, rows, words and unread forms are modules of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import Route

from pipelines.console import TIER_WORDS
from pipelines.page.entry_forms import entries
from pipelines.page.lists.filters import EVERY_STATUS, STATUSES, Filters, address, read_filters
from pipelines.page.lists.raised import raised
from pipelines.page.lists.remarks import remarks
from pipelines.page.lists.row_words import TIER_SIGNS, how_long, shown
from pipelines.page.lists.unread import tier_words, unread
from pipelines.page.lists.worklist_rows import FAST, PAGE_ROWS, Counts, count, names, rows
from pipelines.page.rendering import ENVIRONMENT, page
from pipelines.page.security import access
from pipelines.page.sensitive import WITHHELD
from pipelines.page.visit import Visit, shown_to
from warehouse.open_snapshots import Reading

DRAWN_KEPT = 5_000
_NOT_FINDABLE = (
    "SELECT count(*) FROM worklist JOIN referrals USING (clinic_id, record_id) WHERE coalesce(len(differential), 0) = 0"
)
STATUS_WORDS = {
    "": "waiting: open, acknowledged, booked",
    **{status: status for status in STATUSES},
    EVERY_STATUS: "all, seen and closed too",
}


@shown_to("worklist")
def worklist(visit: Visit) -> Response:
    """The worklist of one clinic, or of all clinics of the person."""
    access.note(visit, "list")
    if not visit.clinics:
        return page(visit, "nothing_here.html")
    with visit.opened(visit.clinics_read(), places=visit.now, likely=bool(visit.query.get("condition"))) as reading:
        conditions = names(reading, "condition")
        filters = read_filters(visit.query, conditions)
        counts = count(reading, filters)
        number = min(filters.page, counts.pages)
        found = rows(reading, filters, number)
        waiting = {
            clinic: entries.pending(visit, clinic, reading.cursor) for clinic in {row["clinic_id"] for row in found}
        }
        not_read = unread(visit, reading)
        listed = [
            _drawn(visit, reading, row, remarks(row, reading, waiting[row["clinic_id"]], not_read)) for row in found
        ]
        return page(
            visit,
            "worklist.html",
            unread=not_read,
            unread_tier=tier_words,
            unacknowledged=entries.unacknowledged(visit, reading.cursor, reading.kept),
            raised=raised(visit, reading.cursor),
            entry_troubles=entries.troubles(visit, visit.clinics_read()),
            filters=filters,
            counts=counts,
            rows=listed,
            withheld="" if visit.person.may("answers") else WITHHELD,
            first=(number - 1) * PAGE_ROWS + 1,
            number=number,
            conditions=conditions,
            elsewhere=_elsewhere(visit, counts),
            more_found=_more_found(visit, filters, counts),
            no_model=_not_findable(reading) if filters.condition else 0,
            links=_links(visit, filters, number, counts),
            statuses=STATUS_WORDS,
            tier_names=TIER_WORDS,
            signs=TIER_SIGNS,
        )


def _drawn(visit: Visit, reading: Reading, row: Mapping[str, Any], entered: Sequence[str]) -> Markup:
    """One row as it stands in the list; kept for the next request until the clock or an entry changes it."""
    answers, with_clinic = visit.person.may("answers"), visit.clinic is None
    key = (
        (row["clinic_id"], row["record_id"], row["place"], row["overdue"], how_long(row, visit.now)),
        (answers, with_clinic, visit.zone_of(row["clinic_id"]).key, *entered),
    )
    kept: dict[Any, Markup] = reading.kept.setdefault("drawn", {})
    drawn = kept.get(key)
    if drawn is None:
        words = shown(row, names(reading), visit.zone_of(row["clinic_id"]), visit.now, answers=answers)
        template = ENVIRONMENT.get_template("worklist_row.html")
        drawn = Markup(  # noqa: S704 - the template escapes
            template.render(row=words, entered=entered, with_clinic=with_clinic, signs=TIER_SIGNS)
        )
        if len(kept) >= DRAWN_KEPT:
            kept.clear()
        kept[key] = drawn
    return drawn


def _elsewhere(visit: Visit, counts: Counts) -> tuple[int, int]:
    """Emergency and same-day records of the person's other clinics, where one clinic is shown, and forms there that
    could not be read and hold an emergency answer."""
    if visit.clinic is None or len(visit.clinics) == 1:
        return 0, 0
    with visit.opened(visit.clinics, places=visit.now) as everywhere:
        everything = count(everywhere, Filters())
    rows = sum(everything.waiting.get(tier, 0) - counts.waiting.get(tier, 0) for tier in FAST)
    return rows, sum(visit.snapshot.unread(clinic)[1] for clinic in visit.clinics if clinic != visit.clinic)


def _more_found(visit: Visit, filters: Filters, counts: Counts) -> tuple[int, str]:
    """How many more records a search finds without the other filters and in all clinics of the person, and where.

    Whoever looks for a record and does not see it must not think that there is none.
    """
    alone = Filters(search=filters.search)
    if not filters.search:
        return 0, ""
    with visit.opened(visit.clinics, places=visit.now) as everywhere:
        more = count(everywhere, alone).matching - counts.matching
    return more, address("/", None, alone)


def _not_findable(reading: Reading) -> int:
    """Open records that no model scored: a filter by condition cannot find them."""
    if "not_findable" not in reading.kept:
        reading.kept["not_findable"] = reading.cursor.execute(_NOT_FINDABLE).fetchone()
    (found,) = reading.kept["not_findable"]
    return int(found)


def _links(visit: Visit, filters: Filters, number: int, counts: Counts) -> Mapping[str, Any]:
    """Addresses that the page leads to: each tier, other pages, everything again, paper."""

    def to(**changed: str | None) -> str:
        return address("/", visit.clinic, filters, **changed)

    return {
        "tier": {tier: address("/", visit.clinic, Filters(tier=tier)) for tier in TIER_WORDS},
        "overdue": address("/", visit.clinic, Filters(overdue=True)),
        "review": address("/", visit.clinic, Filters(review=True)),
        "everything": address("/", visit.clinic, Filters()),
        "all_clinics": address("/", None, Filters()),
        "before": to(page=str(number - 1)) if number > 1 else "",
        "after": to(page=str(number + 1)) if number < counts.pages else "",
        "paper": {clinic: address("/print", clinic, Filters()) for clinic in visit.clinics_read()},
    }


routes = [Route("/", worklist)]
