"""Records that somebody made more urgent on this page and that the published table still shows as less urgent.

Belongs here: finding them, so that they stand above every list until the next run puts them into their place. Does not
belong here: what was entered (``pipelines.page.entry_forms.entries``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.page.entry_forms.entries import Pending, pending, to_be
from pipelines.page.lists.filters import WAITING
from pipelines.page.visit import Visit
from schemas.tiers import tiers

_ROWS = """
    SELECT record_id, headline, effective_tier, status FROM referrals
    WHERE clinic_id = $clinic AND record_id IN (SELECT unnest($records::VARCHAR[]))
"""


@dataclass(frozen=True, slots=True)
class Raised:
    """One record. ``published``: the tier of the table; ``tier``: what was decided here; ``entered``: sentences on who
    decided what. ``is_back``: the table has it as seen or closed, and here it waits again.
    """

    clinic: str
    record: str
    headline: str
    published: str
    tier: str
    is_back: bool
    entered: tuple[str, ...]


def raised(visit: Visit, connection: Any) -> list[Raised]:
    """The records of the clinics that are read which entries make more urgent than they stand, most urgent first."""
    found = [one for clinic in visit.clinics_read() for one in _of(visit, connection, clinic)]
    return sorted(found, key=lambda one: (tiers()[one.tier].rank, one.clinic, one.record))


def _of(visit: Visit, connection: Any, clinic: str) -> Iterator[Raised]:
    deciding = {
        record: waiting
        for record, waiting in pending(visit, clinic, connection).items()
        if any(one.entry.contents == "decision" and one.state == "waiting" for one in waiting)
    }
    if not deciding:
        return
    bound = {"clinic": clinic, "records": list(deciding)}
    for record, headline, tier, status in connection.execute(_ROWS, bound).fetchall():
        waiting: Sequence[Pending] = deciding[record]
        status_to_be, tier_to_be = to_be(status, tier, waiting)
        if status_to_be not in WAITING:
            continue
        is_back = status not in WAITING
        if is_back or tiers()[tier_to_be].rank < tiers()[tier].rank:
            said = tuple(one.sentence for one in waiting)
            yield Raised(clinic, record, headline or "no facts stated", tier, tier_to_be, is_back, said)
