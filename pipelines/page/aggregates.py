"""Counts for managers: where the referrals of a clinic stand, with no count that could tell of a few people.

Belongs here: what is counted, and what of it is shown. Does not belong here: the rule for small counts
(``models.monitoring.rounding``), rows of any referral.

Every table splits one number of one clinic into parts, as at the moment of the snapshot, so that it is the same whoever
looks and whenever; no two tables split the same people in ways that subtract, and nothing is summed over clinics. The
two tables of people who wait split one part of the table of where they stand: where that is hidden, so are they.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from pipelines.console import TIER_WORDS, words
from pipelines.page.rendering import page
from pipelines.page.security.access import note
from pipelines.page.visit import Visit, shown_to
from schemas.tiers import tiers
from warehouse.snapshot_reading import Snapshot, connect

Counts = Mapping[str, int]  # by part
Shown = Mapping[str, int | None]

WAITING, OPEN = "waiting to be seen", ("open", "acknowledged", "booked")
CHILD, NO_MODEL = "under 16, where rules decide alone", "no model in force"

_TIERS = " ".join(f"WHEN '{tier}' THEN '{word}'" for tier, word in TIER_WORDS.items())
_RANK = "list_position([{}], {{}})".format(", ".join(f"'{tier}'" for tier in tiers()))
# By caption: the part that a referral of the snapshot falls in, and the parts there are, in order.
_MEASURES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "By tier": (f"CASE effective_tier {_TIERS} END", tuple(TIER_WORDS.values())),
    "Where they stand": (
        f"if(status IN {OPEN}, '{WAITING}', status)",
        (WAITING, "seen", "closed"),
    ),
    "Waiting, by status": ("status", OPEN),
    "Waiting, by when they have to be seen": (
        "CASE WHEN see_by < $as_at THEN 'overdue' WHEN see_by < $as_at + INTERVAL 1 DAY THEN 'within a day' "
        "WHEN see_by < $as_at + INTERVAL 7 DAY THEN 'within a week' ELSE 'later' END",
        ("overdue", "within a day", "within a week", "later"),
    ),
    "By what a clinician decided": (
        f"CASE WHEN decided_tier IS NULL THEN 'nothing decided' WHEN decided_tier = tier THEN 'as computed' "
        f"WHEN {_RANK.format('decided_tier')} > {_RANK.format('tier')} THEN 'less urgent than computed' "
        f"ELSE 'more urgent than computed' END",
        ("as computed", "less urgent than computed", "more urgent than computed", "nothing decided"),
    ),
    "By what came back": (
        "if((clinic_id, record_id) IN (SELECT (clinic_id, record_id) FROM outcomes), 'outcome sent', 'no outcome yet')",
        ("outcome sent", "no outcome yet"),
    ),
    "By likeliest condition": (
        f"CASE WHEN list_contains(special, 'child') THEN '{CHILD}' "
        f"ELSE coalesce(differential[1].condition, '{NO_MODEL}') END",
        (),
    ),
}
_OF_WAITING = ("Waiting, by status", "Waiting, by when they have to be seen")


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a clinic: its caption and (part, count as shown); ``hidden``: how many further parts are hidden."""

    caption: str
    rows: tuple[tuple[str, str], ...]
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class ClinicCounts:
    """What is shown of a clinic. ``median_days``: median wait of who waits, None where too few wait."""

    clinic: str
    referrals: str
    median_days: int | None
    tables: tuple[Table, ...]


@shown_to("aggregates")
def aggregates(visit: Visit) -> Response:
    """Counts of the person's clinics, or of the one that the address names."""
    from models.evaluation.estimates import LEAST_CELL  # slow to load, and no page of a clinician needs it

    chosen = (visit.clinic,) if visit.clinic else visit.clinics
    note(visit, "aggregates")
    counted = [of_clinic(visit.snapshot, clinic) for clinic in chosen]
    return page(visit, "aggregates.html", counted=counted, few=LEAST_CELL - 1)


def of_clinic(snapshot: Snapshot, clinic: str) -> ClinicCounts:
    """What is shown of one clinic."""
    from models.monitoring.rounding import rounded_parts
    from models.monitoring.suppression import HIDDEN, in_words

    with connect(snapshot, clinic) as connection:
        counts = {caption: _counts(connection, caption, snapshot) for caption in _MEASURES}
        names = dict(connection.execute("SELECT condition, name FROM conditions").fetchall())
        median = _median(connection, snapshot)
    shown = {caption: rounded_parts(parts) for caption, parts in counts.items()}
    if few_wait := shown["Where they stand"][WAITING] is None:
        shown |= {caption: dict.fromkeys(shown[caption]) for caption in _OF_WAITING}
    total = rounded_parts({"": sum(counts["By tier"].values())})[""]
    return ClinicCounts(
        clinic=clinic,
        referrals=HIDDEN if total is None else in_words(total),
        median_days=None if few_wait else median,
        tables=tuple(_table(caption, shown[caption], names) for caption in _MEASURES),
    )


def _counts(connection: Any, caption: str, snapshot: Snapshot) -> Counts:
    part, parts = _MEASURES[caption]
    where = f"WHERE status IN {OPEN}" if caption in _OF_WAITING else ""
    if not parts:
        named = connection.execute("SELECT condition FROM conditions WHERE kind = 'condition' ORDER BY name").fetchall()
        parts = (*(condition for (condition,) in named), CHILD, NO_MODEL)
    bound = {"as_at": snapshot.published_at} if "$as_at" in part else {}
    found = connection.execute(f"SELECT {part} AS part, count(*) FROM referrals {where} GROUP BY ALL", bound).fetchall()
    return dict.fromkeys(parts, 0) | dict(found)


def _median(connection: Any, snapshot: Snapshot) -> int | None:
    """The median of how long those who wait have waited since their first form, in whole days; None for nobody."""
    (days,) = connection.execute(
        f"SELECT median(date_diff('second', episode_started_at, $as_at)) / 86400 FROM referrals WHERE status IN {OPEN}",
        {"as_at": snapshot.published_at},
    ).fetchone()
    return None if days is None else round(days)


def _table(caption: str, parts: Shown, names: Mapping[str, str]) -> Table:
    from models.monitoring.suppression import in_words

    rows = {names.get(part, words(part)): count for part, count in parts.items()}
    if _MEASURES[caption][1]:
        return Table(caption, tuple((part, in_words(count)) for part, count in rows.items()))
    known = sorted(((count, part) for part, count in rows.items() if count is not None), reverse=True)
    return Table(caption, tuple((part, in_words(count)) for count, part in known), hidden=len(rows) - len(known))


routes = [Route("/aggregates", aggregates)]
