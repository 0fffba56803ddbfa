"""What the alerts are about, as the current snapshot, the landing folder and the warehouse show it now.

Belongs here: reading, each part for itself: what cannot be read becomes a fact of its own and hides nothing else. The
snapshot is read as any reader reads it, without the lock; the warehouse is only tried, and passed over where it is in
use. Does not belong here: wording (``pipelines.alerting.composing``), runs of Dagster
(``pipelines.alerting.failed_runs``).

Privacy: keys of records stay inside one call, to see which emergencies are new; counts and times leave it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pipelines.alerting.composing import ClinicFacts, Facts
from warehouse.emergencies import OPEN_EMERGENCIES
from warehouse.home import Home
from warehouse.landing import passed_over
from warehouse.lock import WarehouseBusy, holding
from warehouse.snapshot_reading import (
    POINTER,
    UNASSIGNED,
    QueryRefused,
    Snapshot,
    SnapshotMissing,
    answering,
    connect,
    current_snapshot,
    read_manifest,
)
from warehouse.sources import long_waiting
from warehouse.store import WarehouseRefused

_EMERGENCIES = f"SELECT record_id, here_since FROM ({OPEN_EMERGENCIES})"
# Those that could not be read are concerns all the same.
_CONCERNS = """
    SELECT concat_ws(chr(31), record_id, submitted_at, reported_at, reported_by, concern), received_at
    FROM safety_concerns
    UNION ALL SELECT concat_ws(chr(31), received_at, record_number), received_at
    FROM unread_follow_up WHERE contents = 'safety_concern'
"""


@dataclass(frozen=True, slots=True)
class Looked:
    """What holds now, and the id of the snapshot that says so ('' where none can be read).

    ``busy``: who holds the warehouse, where it could not be looked at; else ''.
    """

    facts: Facts
    snapshot_id: str
    busy: str


def look(home: Home, now: datetime) -> Looked:
    """Look at everything that does not depend on what was told before. Raises SettingsRefused."""
    facts = Facts(never_read=passed_over(home.landing) if home.landing.is_dir() else 0)
    snapshot_id = ""
    try:
        snapshot = current_snapshot(home, now=now)
    except SnapshotMissing as missing:
        # Before the first file there is nothing to publish.
        if _has_begun(home):
            facts = replace(facts, snapshot_problem=f"the worklist cannot be read ({str(missing).partition(':')[0]})")
    else:
        snapshot_id = snapshot.id
        facts = _with_snapshot(facts, snapshot)
    waiting, problem, busy = _warehouse(home)
    return Looked(replace(facts, waiting=waiting, warehouse_problem=problem), snapshot_id, busy)


def new_emergencies(home: Home, told: str) -> dict[str, int]:
    """By clinic, open emergency rows of the current snapshot that the snapshot ``told`` did not show as such.

    All of them where that one is not kept any more or cannot be read ('' for none). Raises SettingsRefused.
    """
    return _new(home, told, _EMERGENCIES)


def new_concerns(home: Home, told: str) -> dict[str, int]:
    """By clinic, safety concerns of the current snapshot that the snapshot ``told`` did not hold; as above.

    Among them rows that could not be read, also those that name no clinic (``_unassigned``). Raises SettingsRefused.
    """
    return _new(home, told, _CONCERNS)


def _new(home: Home, told: str, query: str) -> dict[str, int]:
    """How many keys ``query`` gives now by clinic that it did not give for the snapshot ``told``."""
    try:
        current = current_snapshot(home)
    except SnapshotMissing:
        return {}
    if told == current.id:
        return {}
    before = _kept(home, told)
    counts = {}
    for clinic in current.files:
        if before and _same_files(before, current, clinic):
            continue
        known = _keyed(before, clinic, query) if before and clinic in before.files else None
        now_there = _keyed(current, clinic, query) or {}
        if new := len(now_there.keys() - (known or {}).keys()):
            counts[clinic] = new
    return counts


def _kept(home: Home, snapshot_id: str) -> Snapshot | None:
    """A snapshot of before, or None where it is not there any more. The id comes from a cursor that people can edit."""
    if not snapshot_id or Path(snapshot_id).name != snapshot_id:
        return None
    try:
        manifest = read_manifest(home.snapshots / snapshot_id)
        published_at = datetime.fromisoformat(manifest["published_at"])
    except (SnapshotMissing, KeyError, ValueError):
        return None
    return Snapshot(snapshot_id, home.snapshots / snapshot_id, published_at, False, manifest)


def _with_snapshot(facts: Facts, snapshot: Snapshot) -> Facts:
    clinics, damaged = [], []
    for clinic in (*snapshot.clinics, UNASSIGNED):
        if clinic not in snapshot.files:
            continue
        unread, unread_emergency = snapshot.unread(clinic)
        rows = _keyed(snapshot, clinic, _EMERGENCIES)
        if rows is None:
            damaged.append(clinic)
        since = tuple((rows or {}).values())
        clinics.append(ClinicFacts(clinic, since, unread, unread_emergency, snapshot.kept(clinic)))
    return replace(
        facts,
        published_at=snapshot.published_at,
        stale=snapshot.stale,
        clinics=tuple(clinics),
        damaged=tuple(damaged),
    )


def _keyed(snapshot: Snapshot, clinic: str, query: str) -> Mapping[str, datetime] | None:
    """What ``query`` gives: by key, since when it has been here; None if the clinic's file is unreadable."""
    try:
        with answering(), connect(snapshot, clinic) as connection:
            return dict(connection.execute(query).fetchall())
    except (QueryRefused, SnapshotMissing):
        return None


def _same_files(before: Snapshot, current: Snapshot, clinic: str) -> bool:
    of_clinic = before.manifest["clinics"].get(clinic)
    return of_clinic is not None and of_clinic["files"] == current.manifest["clinics"][clinic]["files"]


def _warehouse(home: Home) -> tuple[int, str, str]:
    """Files that wait too long, why the warehouse cannot be used, and who holds it."""
    if not _has_begun(home):
        return 0, "", ""
    try:
        with holding(home, "look for files that wait", wait=0):
            return long_waiting(home), "", ""
    except WarehouseBusy as busy:
        return 0, "", str(busy)
    except WarehouseRefused as refused:
        return 0, str(refused), ""


def _has_begun(home: Home) -> bool:
    """Whether anything was ever taken in here. A warehouse that is gone after it published is a fault."""
    return home.warehouse.exists() or (home.snapshots / POINTER).exists()
