"""Retention: what is older than the settings keep is removed, and it is told how much.

Belongs here: bytes of the archive, the access log, and asking for the snapshots to be retired. Does not belong here:
how long things are kept (``warehouse.settings``), which snapshots go (``warehouse.snapshot_retention``), Dagster's runs
(``pipelines.runs.run_retention``).

May be killed anywhere and done again: what is to go is worked out from what is there. Archived bytes go when their
record has long been read: the batch is loaded, nothing of it waits in the quarantine, and every batch with the same
bytes is as old. They are noted first and unlinked then, so that nobody takes them for lost. Unlinking is not wiping
(``docs/withdrawal.md``). Records, counts and the text in ``intake_raw`` stay.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from warehouse import audit
from warehouse.access_log import locked
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.snapshot_reading import SnapshotMissing, current_snapshot
from warehouse.snapshot_retention import retire, to_retire
from warehouse.store import opened

_BLOCK_BYTES = 1 << 20
PATIENCE_SECONDS = 60.0  # writers of the access log hold its lock for moments, one after the other
_DUE = """
SELECT sha256, list(batch_id ORDER BY batch_id) AS batches, max(size_bytes)
FROM intake_file f
GROUP BY sha256
HAVING bool_and(
    received_at < $before
    AND batch_id IN (SELECT batch_id FROM intake_ledger)
    AND batch_id NOT IN (SELECT batch_id FROM intake_waiting)
    AND batch_id NOT IN (SELECT batch_id FROM intake_unread_file)
    AND batch_id NOT IN (SELECT batch_id FROM withdrawn_arrival)
)
ORDER BY sha256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """How much is, or was, older than the settings keep. ``archived_bytes`` is of ``archived_files``."""

    snapshots: int = 0
    archived_files: int = 0
    archived_bytes: int = 0
    access_log_lines: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)


def due(home: Home, now: datetime | None = None) -> Purge:
    """What a purge would remove at ``now`` (by default the time of the clock). Writes nothing. Raises WarehouseBusy."""
    now = now or datetime.now(UTC)
    with holding(home, "look at what is to be purged"):
        files = _files_due(home, now)
        lines, _ = _old_lines(home.access_log, _before(now, home.settings().retention.access_log_days))
        return Purge(
            snapshots=len(_snapshots_due(home, now)),
            archived_files=len(files),
            archived_bytes=sum(size for _, _, size in files),
            access_log_lines=lines,
        )


def purge(
    home: Home, *, by: str | None = None, now: datetime | None = None, others: Mapping[str, int] | None = None
) -> Purge:
    """Enter in the audit what ``due`` tells, and remove it; nothing is entered where nothing is to go.

    ``by``: who asked for it, by default this account. ``others``: counts of what the caller removes besides. A purge
    that is killed leaves a rest, which the next one tells again. Raises WarehouseBusy, WarehouseRefused.
    """
    now = now or datetime.now(UTC)
    with holding(home, "purge"):
        found = due(home, now)
        counts = found.counts | dict(others or {})
        if not any(counts.values()):
            return found
        files = _files_due(home, now)
        with opened(home, "enter a purge") as connection:
            for batch_id in (batch_id for _, batches, _ in files for batch_id in batches):
                connection.execute("INSERT OR IGNORE INTO purged_file VALUES (?, ?)", [batch_id, now])
            audit.enter(connection, "purge", subject="retention", by=by, counts=counts)
        for sha256, _, _ in files:
            (home.archive / sha256).unlink(missing_ok=True)
        if current := _current(home):
            retire(home, current, now)
        _drop_old_lines(home.access_log, _before(now, home.settings().retention.access_log_days))
    return found


def purged_at(connection: duckdb.DuckDBPyConnection, batch_id: str) -> datetime | None:
    """When the archived bytes of a batch were purged, or None."""
    row = connection.execute("SELECT purged_at FROM purged_file WHERE batch_id = ?", [batch_id]).fetchone()
    return row[0] if row else None


def _before(now: datetime, days: int | None) -> datetime | None:
    return None if days is None else now - timedelta(days=days)


def _current(home: Home) -> str | None:
    try:
        return current_snapshot(home).id
    except SnapshotMissing:
        return None


def _snapshots_due(home: Home, now: datetime) -> list[Path]:
    current = _current(home)
    return to_retire(home, current, now) if current else []


def _files_due(home: Home, now: datetime) -> list[tuple[str, list[str], int]]:
    """SHA-256, batches and size of archived files that are there and not needed any more."""
    before = _before(now, home.settings().retention.archive_days)
    if before is None or not home.warehouse.exists():
        return []
    with opened(home, "look at old files") as connection:
        rows = connection.execute(_DUE, {"before": before}).fetchall()
    return [(sha256, batches, size) for sha256, batches, size in rows if (home.archive / sha256).is_file()]


def _old_lines(log: Path, before: datetime | None) -> tuple[int, int]:
    """How many lines, and bytes, the access log begins with that are older than ``before``.

    Lines are appended in the order of time: everything before the first that is young enough is old, and so is a line
    without a time among them. A line of which nothing says that it is old stays.
    """
    lines = size = old_lines = old_size = 0
    if before is None or not log.is_file():
        return 0, 0
    with log.open("rb") as entries:
        for entry in entries:
            lines, size = lines + 1, size + len(entry)
            if (written := _time_of(entry)) is None:
                continue
            if written >= before:
                return (lines - 1, size - len(entry)) if old_lines else (0, 0)
            old_lines, old_size = lines, size
    return old_lines, old_size


def _time_of(entry: bytes) -> datetime | None:
    try:
        written = datetime.fromisoformat(entry.split(maxsplit=1)[0].rstrip(b",;").decode("ascii"))
    except (ValueError, IndexError):
        return None
    return written if written.tzinfo else written.replace(tzinfo=UTC)


def _drop_old_lines(log: Path, before: datetime | None) -> None:
    """Put the log without its old lines in its place, under the lock of ``warehouse.access_log``: none is lost."""
    if before is None or not log.is_file():
        return
    with locked(log, alone=True, wait_seconds=PATIENCE_SECONDS):
        _, size = _old_lines(log, before)
        if not size:
            return
        half = log.with_name(f".half-{log.name}")
        with log.open("rb") as old, half.open("wb") as new:
            os.fchmod(new.fileno(), 0o600)
            old.seek(size)
            while block := old.read(_BLOCK_BYTES):
                new.write(block)
            new.flush()
            os.fsync(new.fileno())
        half.replace(log)
