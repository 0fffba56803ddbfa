"""What an erasure still has to do once its rows are gone from the tables, step by step, after a kill too.

Belongs here: archived files without the record, the warehouse written anew, snapshots that still show it removed. Does
not belong here: whose record it was; nothing here knows that. What has to be done is told by ``withdrawn_arrival``
(batch and record number) and by rows of ``withdrawal`` without their steps.

Order: ``go_on`` before a publication, ``end`` after it. Each step may be done again. A file that is removed here is
unlinked: that a disk, a file system's journal or a backup forgets it is not promised (``docs/withdrawal.md``).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from warehouse import archive, entered
from warehouse.disk import sha256_of, sync
from warehouse.home import Home
from warehouse.landing import files_in
from warehouse.lock import holding
from warehouse.snapshot_reading import UNASSIGNED, Snapshot, SnapshotMissing, current_snapshot, read_manifest
from warehouse.snapshot_retention import held_up_to
from warehouse.store import opened
from warehouse.withdrawing.rebuilding import HALF, rebuild
from warehouse.withdrawing.rewriting import Rewritten, without_records
from warehouse.withdrawing.tables import PLACE, WHOLE_FILE, tables_with
from warehouse.withdrawing.withdrawn import archived_of_batches, keyed_hash, own_secret

STRAY_SECONDS = 3600
_UNDONE = (
    "SELECT withdrawal_number FROM withdrawal w WHERE how = ANY($how) AND NOT EXISTS "
    "(SELECT 1 FROM withdrawal_step s WHERE s.withdrawal_number = w.withdrawal_number AND s.step = $step)"
)


def go_on(home: Home) -> None:
    """Do what is left of every erasure before a table is published: what was entered on the page, archived files, then
    the warehouse itself.

    Costs one look where nothing is left. Raises WarehouseBusy, WarehouseRefused.
    """
    with holding(home, "end an erasure"):
        with opened(home, "look for an erasure to end") as connection:
            batches = connection.execute("SELECT DISTINCT batch_id FROM withdrawn_arrival ORDER BY batch_id").fetchall()
            rebuilds = _undone(connection, ["erase"], "rebuilt")
            files = connection.execute("SELECT count(*) FROM withdrawn_file").fetchone() != (0,)
            _remove_entered(home, connection)
        for (batch_id,) in batches:
            _take_out(home, batch_id)
        if batches or files:
            _remove_old_files(home)
        if rebuilds:
            _remove_landed_entries(home)
            rebuild(home, rebuilds)


def end(home: Home) -> None:
    """After a publication: remove the snapshots that may still show what was withdrawn, and note that it has ended.

    A snapshot is kept if what it shows of the clinics concerned is what the current one shows. Raises WarehouseBusy,
    WarehouseRefused.
    """
    with holding(home, "end a withdrawal"):
        try:
            current = current_snapshot(home)
        except SnapshotMissing:
            return
        with opened(home, "look for a withdrawal to end") as connection:
            waiting = connection.execute(
                # One from before there was an audit is older than any snapshot that names an entry of it.
                "SELECT withdrawal_number, shown_under FROM withdrawal LEFT JOIN audit "
                "ON event = 'withdrawal' AND subject = withdrawal_number::VARCHAR "
                f"WHERE coalesce(entry_number, 0) <= $held AND withdrawal_number IN ({_UNDONE})",
                {"held": held_up_to(current.manifest), "how": ["restrict", "erase"], "step": "ended"},
            ).fetchall()
        if not waiting:
            return
        _remove_snapshots(home, current, {UNASSIGNED}.union(*(clinics for _, clinics in waiting)))
        with opened(home, "note the end of a withdrawal") as connection:
            for number, _ in waiting:
                connection.execute(
                    "INSERT INTO withdrawal_step VALUES (?, 'ended', ?, ?)", [number, datetime.now(UTC), current.id]
                )


def unfinished(home: Home) -> bool:
    """Whether a process died over a withdrawal, or its table could not be published. Raises WarehouseBusy."""
    with opened(home, "look for a withdrawal to end") as connection:
        files = connection.execute("SELECT count(*) FROM withdrawn_arrival").fetchone() != (0,)
        return files or bool(_undone(connection, ["restrict", "erase"], "ended"))


def left_in_landing(home: Home) -> int:
    """How many files of the landing folder are files that lost a record here. They are the user's and stay."""
    with opened(home, "look at the landing folder") as connection:
        secret = own_secret(home, connection)
        old = {hash_ for (hash_,) in connection.execute("SELECT keyed_hash FROM withdrawn_file").fetchall()}
    return sum(keyed_hash(secret, "file", "", sha256_of(file)) in old for _, file in files_in(home.landing))


def _undone(connection: duckdb.DuckDBPyConnection, how: list[str], step: str) -> list[int]:
    return [number for (number,) in connection.execute(_UNDONE, {"how": how, "step": step}).fetchall()]


def _take_out(home: Home, batch_id: str) -> None:
    """Put a file without the withdrawn records in the place of a batch's archived one, or none where that cannot be."""
    with opened(home, "look at an archived file") as connection:
        ((clinic, sha256),) = connection.execute(
            "SELECT clinic, sha256 FROM intake_file WHERE batch_id = ?", [batch_id]
        ).fetchall()
        gone = [
            number
            for (number,) in connection.execute(
                "SELECT DISTINCT record_number FROM withdrawn_arrival WHERE batch_id = ?", [batch_id]
            ).fetchall()
        ]
    old = home.archive / sha256
    new = without_records(old, gone) if WHOLE_FILE not in gone and old.is_file() else None
    if new:
        new.file.replace(home.archive / new.sha256)
        sync(home.archive)
    with opened(home, "enter a rewritten file") as connection:
        taken = new is not None and connection.execute(
            "SELECT count(*) FROM intake_file WHERE clinic = ? AND sha256 = ? AND batch_id <> ?",
            [clinic, new.sha256, batch_id],
        ).fetchone() != (0,)
        if new and not taken:
            _enter_rewritten(connection, batch_id, new)
        hash_ = keyed_hash(own_secret(home, connection), "file", "", sha256)
        connection.execute(
            "INSERT INTO withdrawn_file VALUES (?, ?, ?, ?)", [clinic, batch_id, hash_, new is None or taken]
        )
        connection.execute("DELETE FROM withdrawn_arrival WHERE batch_id = ?", [batch_id])


def _enter_rewritten(connection: duckdb.DuckDBPyConnection, batch_id: str, new: Rewritten) -> None:
    """Let the batch point to its new file and count its records as that file does.

    A record that came back withdrawn and is in no file any more is counted after all the others.
    """
    connection.execute(
        "UPDATE intake_file SET sha256 = ?, size_bytes = ? WHERE batch_id = ?", [new.sha256, new.size_bytes, batch_id]
    )
    connection.execute(
        "UPDATE intake_raw SET record_text = ? WHERE batch_id = ? AND record_number = 0", [new.header, batch_id]
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE renumbered AS
        WITH gone AS (
            SELECT record_number, row_number() OVER (ORDER BY record_number) AS place
            FROM (SELECT DISTINCT record_number FROM withdrawn_arrival WHERE batch_id = $batch)
        ),
        known AS (SELECT DISTINCT record_number FROM intake_raw WHERE batch_id = $batch AND record_number > 0)
        SELECT k.record_number AS old,
               CASE WHEN k.record_number IN (SELECT record_number FROM gone) THEN $records + g.place
                    ELSE k.record_number - coalesce(g.place, 0) END AS new
        FROM known k ASOF LEFT JOIN gone g ON k.record_number >= g.record_number
        """,
        {"batch": batch_id, "records": new.records},
    )
    for table in tables_with(connection, PLACE):
        connection.execute(
            f"UPDATE {table} SET record_number = renumbered.new FROM renumbered "
            f"WHERE {table}.batch_id = $batch AND {table}.record_number = renumbered.old AND renumbered.old <> new",
            {"batch": batch_id},
        )
    connection.execute("DROP TABLE renumbered")


def _remove_old_files(home: Home) -> None:
    """Remove archived files that lost a record or were to be destroyed, wherever no other batch has them as its own.

    The same file may have come back since, and a process may have died before it could remove it. A file that no
    batch has at all was left by a delivery that was not taken in; nobody could say what it holds.
    """
    archive.sweep(home.archive)
    with opened(home, "look for files to remove") as connection:
        secret = own_secret(home, connection)
        old = {hash_ for (hash_,) in connection.execute("SELECT keyed_hash FROM withdrawn_file").fetchall()}
        kept = archived_of_batches(connection)
    for file in home.archive.iterdir():
        if file.name in kept:
            continue
        # A younger one may be on its way in: it is copied before it is entered, and without the lock.
        stray = time.time() - file.stat().st_mtime > STRAY_SECONDS
        if stray or keyed_hash(secret, "file", "", file.name) in old:
            file.unlink()
    sync(home.archive)


def _remove_entered(home: Home, connection: duckdb.DuckDBPyConnection) -> None:
    """Remove what clinicians entered on the page about erased records and no table shows; also what came in since."""
    rows = connection.execute("SELECT keyed_hash FROM withdrawn_key WHERE kind = 'record'").fetchall()
    if rows:
        secret, erased = own_secret(home, connection), {hash_ for (hash_,) in rows}
        entered.remove_withdrawn(home, lambda *record: keyed_hash(secret, "record", *record) in erased)


def _remove_landed_entries(home: Home) -> None:
    """Remove from landing what the page put there and what held an erased record: nobody else knows of these files."""
    with opened(home, "look at the landing folder") as connection:
        secret = own_secret(home, connection)
        old = {hash_ for (hash_,) in connection.execute("SELECT keyed_hash FROM withdrawn_file").fetchall()}
    for clinic, file in files_in(home.landing):
        if entered.is_landed(home, clinic, file) and keyed_hash(secret, "file", "", sha256_of(file)) in old:
            file.unlink()


def _remove_snapshots(home: Home, current: Snapshot, clinics: Collection[str]) -> None:
    """Remove older snapshots that show anything else of these clinics than the current one does.

    A folder is renamed first, so that no reader opens half of one and a kill leaves what the next sweep removes.
    """
    for entry in sorted(home.snapshots.iterdir()):
        if not entry.is_dir() or entry.name == current.id:
            continue
        if entry.name.startswith(HALF):
            shutil.rmtree(entry)
        elif not _shows_the_same(entry, current, clinics):
            removed = entry.with_name(f"{HALF}{entry.name}")
            entry.rename(removed)
            shutil.rmtree(removed)
    sync(home.snapshots)


def _shows_the_same(folder: Path, current: Snapshot, clinics: Collection[str]) -> bool:
    try:
        before = read_manifest(folder)["clinics"]
        now = current.manifest["clinics"]
        return all(
            clinic not in before or (clinic in now and before[clinic]["files"] == now[clinic]["files"])
            for clinic in clinics
        )
    except (SnapshotMissing, KeyError, TypeError):
        return False
