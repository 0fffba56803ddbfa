"""What a list is narrowed to: read from the address, put into SQL with every value bound, and put back into addresses.

Belongs here: names and values of the filters. Does not belong here: reading rows
(``pipelines.page.lists.worklist_rows``).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from schemas.tiers import tiers

WAITING = ("open", "acknowledged", "booked")
STATUSES = (*WAITING, "seen", "closed")
EVERY_STATUS = "all"
SEARCH_AT_MOST = 200  # signs; a record id of the form has at most 64
PAGES_AT_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Filters:
    """What was asked for; '' and False narrow nothing.

    ``status``: one of STATUSES, EVERY_STATUS, or '' for those of WAITING. ``condition``: id of one among the likeliest
    three or not excluded. ``search``: the beginning of a record id; it finds seen and closed records too. ``wrong``:
    a sentence for each value of the address that means nothing, which is then left out.
    """

    tier: str = ""
    status: str = ""
    review: bool = False
    overdue: bool = False
    condition: str = ""
    search: str = ""
    page: int = 1
    wrong: tuple[str, ...] = ()

    @property
    def is_narrowed(self) -> bool:
        """Whether open records may be left out."""
        return bool(self.values())

    def values(self) -> dict[str, str]:
        """The filters as the address has them, without the page."""
        given = {
            "tier": self.tier,
            "status": self.status,
            "review": "1" if self.review else "",
            "overdue": "1" if self.overdue else "",
            "condition": self.condition,
            "search": self.search,
        }
        return {name: value for name, value in given.items() if value}

    @property
    def narrowing(self) -> tuple[tuple[str, str], ...]:
        """What tells lists apart: the filters without page and sentences."""
        return tuple(self.values().items())

    def sql(self) -> tuple[str, dict[str, Any]]:
        """A condition over the table ``place`` (and ``likely``, where ``condition`` is given), and what it binds."""
        parts, bound = [], {}
        if self.status in STATUSES:
            parts.append("status = $status")
            bound["status"] = self.status
        elif not self.status and not self.search:
            parts.append("place IS NOT NULL")
        if self.tier:
            parts.append("effective_tier = $tier")
            bound["tier"] = self.tier
        if self.review:
            parts.append("needs_review")
        if self.overdue:
            parts.append("overdue")
        if self.condition:
            parts.append(
                "(clinic_id, record_id) IN "
                "(SELECT (clinic_id, record_id) FROM likely WHERE list_contains(conditions, $condition))"
            )
            bound["condition"] = self.condition
        if self.search:
            parts.append("starts_with(lower(record_id), lower($search))")
            bound["search"] = self.search
        return " AND ".join(parts) or "true", bound


def read_filters(query: Mapping[str, str], conditions: Collection[str]) -> Filters:
    """The filters of an address; ``conditions``: the ids that may be asked for."""
    wrong: list[str] = []

    def one_of(name: str, allowed: Collection[str], what: str) -> str:
        value = query.get(name, "")
        if value and value not in allowed:
            wrong.append(f"The address asks for {what} that is not known; it is left out.")
            return ""
        return value

    search = query.get("search", "").strip()
    if len(search) > SEARCH_AT_MOST:
        wrong.append("What is searched for is longer than any record id; it is left out.")
        search = ""
    number = query.get("page", "") or "1"
    if not (number.isascii() and number.isdecimal() and 1 <= int(number[:9]) <= PAGES_AT_MOST and len(number) < 9):
        wrong.append("The address asks for a page that does not exist; this is the first.")
        number = "1"
    return Filters(
        tier=one_of("tier", tiers(), "a tier"),
        status=one_of("status", (*STATUSES, EVERY_STATUS), "a status"),
        review=bool(one_of("review", ("1",), "a kind of review")),
        overdue=bool(one_of("overdue", ("1",), "a kind of overdue")),
        condition=one_of("condition", conditions, "a condition"),
        search=search,
        page=int(number),
        wrong=tuple(wrong),
    )


def address(path: str, clinic: str | None, filters: Filters, **changed: str | None) -> str:
    """The address of a list with these filters and changes; None takes a filter away, and the page is the first."""
    values = ({"clinic": clinic} if clinic else {}) | filters.values() | changed
    kept = {name: value for name, value in values.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path
