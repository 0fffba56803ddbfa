"""Changing which model is in force: promotion, rollback, suspension.

Belongs here: the order of steps of each change, and who has to agree. Does not belong here: what a promotion would do
and its gates (``pipelines.changes.proposal``), the pointer (``warehouse.model_pointer``), the history
(``warehouse.model_history``), words on a terminal (``pipelines.commands``). Nothing here knows of a command line or of
Dagster.

Every change goes the same way, under the lock: it is entered in the history, the pointer is swapped, and the caller
has the table scored and published. A process that dies in between leaves a change that is entered and not published;
the next run makes and publishes it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata

from pipelines.changes.proposal import ChangeRefused, Proposal, usable
from pipelines.model_in_force import in_force, model_folder, settle, versions_in_force
from pipelines.model_store import find
from warehouse import model_history, snapshots
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.model_history import Change, Kind
from warehouse.model_pointer import InForce, keep_own_copy
from warehouse.snapshot_reading import SnapshotMissing, current_snapshot

LONGEST_TEXT = 500
TWO_PEOPLE = "a promotion takes two different people; nothing was changed"


@dataclass(frozen=True)
class Agreed:
    """Who changes the model in force and why; ``second`` is who else agreed. Made by ``agree``."""

    by: str
    reason: str
    second: str | None = None


@dataclass(frozen=True)
class RolledBack:
    """What a rollback came to: ``snapshot_id`` of the table that is current again, else the clause why it is not."""

    now: InForce
    snapshot_id: str | None
    scored_anew_because: str | None


def agree(*, by: str, reason: str, second: str | None = None) -> Agreed:
    """Check names and reason before anything is looked at. Raises ChangeRefused."""
    other = None if second is None else _said(second, "a second name")
    agreed = Agreed(_said(by, "a name"), _said(reason, "a reason"), other)
    if other and agreed.by.casefold() == other.casefold():
        raise ChangeRefused(TWO_PEOPLE)
    return agreed


def _said(text: str, what: str) -> str:
    """A name or reason as it goes into the history: one line of signs that can be read."""
    plain = " ".join(text.split())
    if not plain or not plain.isprintable() or len(plain) > LONGEST_TEXT:
        raise ChangeRefused(f"{what} of 1 to {LONGEST_TEXT} readable signs is needed; nothing was changed")
    return plain


@contextmanager
def changing(home: Home, kind: str) -> Iterator[None]:
    """Hold the warehouse for the whole of a change, after making the one that a process died over, if there is one.

    Raises WarehouseBusy, WarehouseRefused.
    """
    with holding(home, f"hiptriage model {kind}"):
        settle(home)
        yield


def unfinished(home: Home, version: str) -> bool:
    """Whether ``version`` was promoted and no snapshot holds it yet: a process died, and scoring is all there is to do.

    Raises WarehouseBusy, WarehouseRefused.
    """
    change = model_history.unpublished(home)
    return change is not None and change.kind == "promote" and change.after == InForce(version)


def promote(home: Home, proposal: Proposal, agreed: Agreed) -> None:
    """Put the proposed version in force. The caller holds ``changing``, and publishes next.

    Raises ChangeRefused where a gate failed, one person alone agreed, or another model was put in force since the
    proposal; WarehouseBusy, WarehouseRefused.
    """
    if agreed.second is None:
        raise ChangeRefused(TWO_PEOPLE)
    if proposal.failed:
        raise ChangeRefused(f"the gates do not let it pass: {'; '.join(proposal.failed)}; nothing was changed")
    if in_force(home) != proposal.before:
        raise ChangeRefused("another model was put in force meanwhile: look at the preview again")
    gates = json.dumps([asdict(gate) for gate in proposal.gates], ensure_ascii=False)
    keep_own_copy(home, proposal.version.version, proposal.version.folder)
    _change(home, "promote", agreed, proposal.before, InForce(proposal.version.version), gates)


def rollback(home: Home, agreed: Agreed) -> RolledBack:
    """Go back to what was in force before the last promotion that stands, and to the table published then if it holds.

    The caller holds ``changing``, and publishes next unless the result names a snapshot. Raises ChangeRefused where
    nothing was promoted or the model of then must not be used any more; WarehouseBusy, WarehouseRefused.
    """
    promotion = model_history.last_standing_promotion(model_history.changes(home))
    if promotion is None:
        raise ChangeRefused("no promotion stands that could be taken back; hiptriage model suspend leaves rules only")
    after = promotion.before
    if not after.suspended:
        usable(find(home, after.version))
    _change(home, "rollback", agreed, in_force(home), after)
    if promotion.snapshot_before is None:
        return RolledBack(after, None, "no table had been published before that promotion")
    versions = asdict(versions_in_force(home)) | {"code_version": metadata.version("hiptriage")}
    try:
        snapshots.reinstate(home, promotion.snapshot_before, versions)
    except snapshots.NotReinstated as why:
        return RolledBack(after, None, str(why))
    model_history.enter_published(home, promotion.snapshot_before)
    return RolledBack(after, promotion.snapshot_before, None)


def suspend(home: Home, agreed: Agreed) -> InForce:
    """Leave rules alone in force until ``resume``. The caller holds ``changing``, and publishes next.

    Raises ChangeRefused where the model is suspended already; WarehouseBusy, WarehouseRefused.
    """
    now = in_force(home)
    if now.suspended:
        raise ChangeRefused(f"model {now.version} is suspended already; nothing was changed")
    after = InForce(now.version, suspended=True)
    _change(home, "suspend", agreed, now, after)
    return after


def resume(home: Home, agreed: Agreed) -> InForce:
    """Put the suspended model in force again. The caller holds ``changing``, and publishes next.

    Raises ChangeRefused where none is suspended or it must not be used; WarehouseBusy, WarehouseRefused.
    """
    now = in_force(home)
    if not now.suspended:
        raise ChangeRefused(f"no model is suspended: {now.version} is in force; nothing was changed")
    usable(find(home, now.version))
    after = InForce(now.version)
    _change(home, "resume", agreed, now, after)
    return after


def _change(home: Home, kind: Kind, agreed: Agreed, before: InForce, after: InForce, gates: str = "[]") -> None:
    """Enter the change, then make it. What is left behind is kept in the home, so that it can be gone back to."""
    if not before.suspended and (folder := model_folder(home)).is_dir():
        keep_own_copy(home, before.version, folder)
    try:
        snapshot_before = current_snapshot(home).id
    except SnapshotMissing:
        snapshot_before = None
    change = Change(
        kind=kind,
        by=agreed.by,
        second=agreed.second,
        reason=agreed.reason,
        before=before,
        after=after,
        snapshot_before=snapshot_before,
        gates=gates,
    )
    model_history.enter(home, change)
    settle(home)
