"""Rows and counts of a list out of the snapshot.

Belongs here: queries. Filters and counts go over the narrow table ``place``; the wide rows of ``referrals`` are read
for one page alone, and kept for the next request, because a row of a snapshot never changes. Does not belong here:
words (``pipelines.page.lists.row_words``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.page.lists.filters import Filters
from warehouse.exports import dicts_of
from warehouse.open_snapshots import Reading

PAGE_ROWS = 50
ROWS_KEPT = 5_000
LISTS_KEPT = 2_000
FAST = ("emergency", "same_day")  # never left out by a filter without a word
# All that a row of the list shows. Not read for a list: findings and rule results, which pipelines.page.sensitive asks
# for; what is not read cannot be told.
_COLUMNS = """
    clinic_id, record_id, submitted_at, headline, age_years, special, tier, effective_tier, tier_basis, tier_reason,
    see_by, ask_by, destination, first_imaging, red_flags, earlier_red_flags, questions_to_ask, differential,
    prediction_set, needs_review, review_reason, status, decided_tier, decided_by, decided_at, decision_reason,
    until_seen, evidence_basis, has_notes, NULL AS reasons, NULL AS rule_status
"""
_COUNTS = """
    SELECT effective_tier, count(*) FILTER (place IS NOT NULL) AS waiting,
           count(*) FILTER (place IS NOT NULL AND overdue) AS overdue,
           count(*) FILTER (place IS NOT NULL AND needs_review) AS review,
           count(*) FILTER (matches) AS matching,
           count(*) FILTER (matches AND place IS NOT NULL) AS matching_waiting
    FROM (SELECT *, coalesce({matches}, false) AS matches FROM place) GROUP BY effective_tier
"""
_PAGE = """
    SELECT place, clinic_id, record_id, overdue FROM place WHERE {matches}
    ORDER BY place NULLS LAST, clinic_id, record_id LIMIT $rows OFFSET $start
"""
_WIDE = f"""
    SELECT {_COLUMNS} FROM referrals
    JOIN (SELECT unnest($clinics::VARCHAR[]) AS clinic_id, unnest($records::VARCHAR[]) AS record_id)
    USING (clinic_id, record_id)
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of open records by effective tier, and of those that the filters leave.

    ``matching``: records of any status that the filters leave; ``matching_open``: open ones among them. ``hidden``:
    open emergency and same-day records that the filters leave out.
    """

    waiting: Mapping[str, int]
    overdue: int
    review: int
    matching: int
    matching_open: int
    hidden: int

    @property
    def open(self) -> int:
        """How many records are open in all."""
        return sum(self.waiting.values())

    @property
    def pages(self) -> int:
        """How many pages the matching records fill; at least one."""
        return max(1, -(-self.matching // PAGE_ROWS))


def count(reading: Reading, filters: Filters) -> Counts:
    """Count what is open and what the filters leave of it."""
    matches, bound = filters.sql()
    kept = reading.kept_of_places
    if (known := kept.get(("counts", filters.narrowing))) is not None:
        return known
    found = reading.cursor.execute(_COUNTS.format(matches=matches), bound).fetchall()
    counts = Counts(
        waiting={tier: waiting for tier, waiting, *_ in found},
        overdue=sum(row[2] for row in found),
        review=sum(row[3] for row in found),
        matching=sum(row[4] for row in found),
        matching_open=sum(row[5] for row in found),
        hidden=sum(waiting - left for tier, waiting, _, _, _, left in found if tier in FAST),
    )
    _keep(kept, ("counts", filters.narrowing), counts, LISTS_KEPT)
    return counts


def rows(reading: Reading, filters: Filters, page: int, rows: int = PAGE_ROWS) -> list[dict[str, Any]]:
    """One page of rows in the order of the list, as ``referrals`` has them, each with ``place`` and ``overdue``.

    ``place`` is None for a record that is not open.
    """
    kept, key = reading.kept_of_places, ("page", filters.narrowing, page, rows)
    places = kept.get(key)
    if places is None:
        matches, bound = filters.sql()
        bound |= {"rows": rows, "start": (page - 1) * rows}
        places = reading.cursor.execute(_PAGE.format(matches=matches), bound).fetchall()
        _keep(kept, key, places, LISTS_KEPT)
    wide = _wide(reading, [(clinic, record) for _, clinic, record, _ in places])
    return [{**wide[clinic, record], "place": place, "overdue": overdue} for place, clinic, record, overdue in places]


def names(reading: Reading, kind: str = "") -> Mapping[str, str]:
    """Clinicians' names of conditions and contributing factors by id, in their order; of one ``kind`` or of both."""
    if "names" not in reading.kept:
        found = reading.cursor.execute("SELECT condition, kind, name FROM conditions ORDER BY name").fetchall()
        reading.kept["names"] = {
            asked: {condition: name for condition, of, name in found if asked in ("", of)}
            for asked in ("", "condition", "contributing_factor")
        }
    named: Mapping[str, str] = reading.kept["names"][kind]
    return named


def _wide(reading: Reading, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    kept: dict[tuple[str, str], Mapping[str, Any]] = reading.kept.setdefault("rows", {})
    known = {key: kept[key] for key in keys if key in kept}
    missing = [key for key in keys if key not in known]
    if missing:
        bound = {"clinics": [clinic for clinic, _ in missing], "records": [record for _, record in missing]}
        read = dicts_of(reading.cursor.execute(_WIDE, bound))
        known |= {(row["clinic_id"], row["record_id"]): row for row in read}
        for key in missing:
            _keep(kept, key, known[key], ROWS_KEPT)
    return known


def _keep(kept: dict[Any, Any], key: Any, value: Any, at_most: int) -> None:
    if len(kept) >= at_most:
        kept.clear()
    kept[key] = value
