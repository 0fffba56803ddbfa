"""Trying refused records again, batch by batch, as ``hiptriage quarantine replay`` and the job of that name do it.

Belongs here: that one batch which cannot be tried keeps no other from being read. Does not belong here: what a replay
does (``warehouse.replay``), the publication that follows. Knows nothing of Dagster.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from warehouse import replay
from warehouse.home import Home
from warehouse.replay import NothingQuarantined, Replayed
from warehouse.store import WarehouseRefused

Say = Callable[[str], None]


@dataclass(frozen=True)
class Tried:
    """What became of each batch that was tried, and how many could not be."""

    done: tuple[Replayed, ...]
    not_tried: int

    @property
    def batches(self) -> int:
        """How many were asked for."""
        return len(self.done) + self.not_tried


def try_again(home: Home, batches: Sequence[str], *, say: Say, warn: Say) -> Tried:
    """Replay ``batches``, by default every one that waits; tells of each. The caller holds the warehouse.

    Raises WarehouseBusy.
    """
    done, not_tried = [], 0
    for batch in batches or replay.waiting(home):
        try:
            outcome = replay.replay(home, batch)
        except (WarehouseRefused, NothingQuarantined) as error:
            warn(f"{batch}: not tried: {error}")
            not_tried += 1
        else:
            say(f"{outcome.batch_id}: {outcome.sentence}")
            done.append(outcome)
    return Tried(tuple(done), not_tried)
