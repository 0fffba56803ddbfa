"""Sources: a clinic folder's file, archived and entered in the warehouse as a batch to load.

Belongs here: what makes two deliveries the same, and which records may share a home. Does not belong here: reading
what the file says (``warehouse.intake``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from schemas.problems import FileRefused
from warehouse.archive import Archived, put
from warehouse.faults import of_one_file
from warehouse.formats.recognise import opened_source
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.reading_plan import plan_of
from warehouse.settings import DataKind
from warehouse.store import WarehouseRefused, opened
from warehouse.withdrawing.withdrawn import earlier_batch

NO_CLINIC = "several"


class ClinicNotNamed(Exception):
    """A file that names no clinic, from a place that names none."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One source on its way in: a clinic folder's file. ``clinic`` is '' where each row names its own."""

    batch_id: str
    clinic: str
    sha256: str
    data_kind: DataKind
    received_at: datetime


def register(home: Home, file: Path, *, clinic: str, data_kind: DataKind) -> tuple[Batch, bool]:
    """Archive ``file`` and enter it in the warehouse; true if it is new, false if these bytes came before.

    Raises StillBeingWritten, NotReadable, NoRoom, WarehouseBusy, ClinicNotNamed where neither the place nor the file
    names a clinic, and WarehouseRefused where live records would meet others.
    """
    with holding(home, "take in a file"):
        archived = put(file, home.archive)
        if not clinic and _names_no_clinic(home, home.archive / archived.sha256):
            with opened(home, "take in a file") as connection:
                _drop_unless_entered(connection, home, archived)
            raise ClinicNotNamed(
                "a file has no clinic_id column: name its clinic with --clinic, or put it in a folder named as the "
                "clinic"
            )
        return _enter(home, archived, clinic, file.name, data_kind)


def known_sources(home: Home) -> dict[tuple[str, int], set[str]]:
    """SHA-256 of the files that were registered, by clinic ('' for none) and size in bytes."""
    with opened(home, "take in the landing folder") as connection:
        rows = connection.execute("SELECT clinic, size_bytes, sha256 FROM intake_file").fetchall()
    known: dict[tuple[str, int], set[str]] = {}
    for clinic, size, sha256 in rows:
        known.setdefault((clinic, size), set()).add(sha256)
    return known


def _enter(home: Home, archived: Archived, clinic: str, name: str, data_kind: DataKind) -> tuple[Batch, bool]:
    received_at = datetime.now(UTC)
    batch_id = f"{clinic or NO_CLINIC}.{received_at:%Y%m%dT%H%M%SZ}.{archived.sha256[:12]}"
    with opened(home, "take in a file") as connection:
        known = connection.execute(
            "SELECT batch_id, clinic, sha256, data_kind, received_at FROM intake_file WHERE clinic = ? AND sha256 = ?",
            [clinic, archived.sha256],
        ).fetchone()
        if earlier := earlier_batch(connection, home, clinic, archived.sha256):
            return batch_of(connection, earlier), False
        if known:
            return Batch(*known), False
        kinds = {kind for (kind,) in connection.execute("SELECT DISTINCT data_kind FROM intake_file").fetchall()}
        if any((kind == "live") != (data_kind == "live") for kind in kinds):
            _drop_unless_entered(connection, home, archived)
            raise WarehouseRefused(
                f"this installation holds {' and '.join(sorted(kinds))} records and takes no {data_kind} ones: "
                "real and invented patients never share a home; set HIPTRIAGE_HOME to another folder"
            )
        connection.execute(
            "INSERT INTO intake_file VALUES (?, ?, ?, ?, ?, ?, ?)",
            [batch_id, clinic, archived.sha256, _as_text(name), data_kind, archived.size_bytes, received_at],
        )
    return Batch(batch_id, clinic, archived.sha256, data_kind, received_at), True


def _drop_unless_entered(connection: duckdb.DuckDBPyConnection, home: Home, archived: Archived) -> None:
    """Let go of the bytes of a file that is not taken in: no withdrawal would find them, because no row names them."""
    entered = connection.execute("SELECT count(*) FROM intake_file WHERE sha256 = ?", [archived.sha256]).fetchone()
    if entered == (0,):
        (home.archive / archived.sha256).unlink(missing_ok=True)


def _as_text(name: str) -> str:
    """A file's name as text: a file system holds bytes, and those of other systems are not always UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _names_no_clinic(home: Home, file: Path) -> bool:
    """Whether nothing is wrong with the file but that it lacks the clinic.

    A file that no reader can look into is entered, and refused when it is loaded: it stops no other.
    """
    try:
        with of_one_file(), opened_source(file) as source:
            plan_of(home, source, "")
    except FileRefused as refused:
        return refused.code == "missing_column" and refused.columns == ("clinic_id",)
    return False


def pending_batches(home: Home) -> list[str]:
    """Ids of the batches that are registered and not yet in the ledger, oldest first."""
    with opened(home, "look for new batches") as connection:
        return waiting_batches(connection)


def long_waiting(home: Home) -> int:
    """How many registered batches have waited longer than ``waiting_minutes`` of the settings to be loaded.

    One that arrived ahead of the clock counts: the clock went back, and nobody can tell how long it has waited.
    """
    with opened(home, "look for batches that wait") as connection:
        ((waiting,),) = connection.execute(
            "SELECT count(*) FROM intake_file ANTI JOIN intake_ledger USING (batch_id) "
            "WHERE abs(epoch($now::TIMESTAMPTZ - received_at)) > $longest",
            {"now": datetime.now(UTC), "longest": 60 * home.settings().automation.waiting_minutes},
        ).fetchall()
    return int(waiting)


def waiting_batches(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The same on an open warehouse."""
    rows = connection.execute(
        "SELECT batch_id FROM intake_file ANTI JOIN intake_ledger USING (batch_id) ORDER BY received_at, batch_id"
    ).fetchall()
    return [batch_id for (batch_id,) in rows]


def batch_of(connection: duckdb.DuckDBPyConnection, batch_id: str) -> Batch:
    """The registered batch of this id. Raises WarehouseRefused if there is none."""
    row = connection.execute(
        "SELECT batch_id, clinic, sha256, data_kind, received_at FROM intake_file WHERE batch_id = ?", [batch_id]
    ).fetchone()
    if not row:
        raise WarehouseRefused("no such batch is registered")
    return Batch(*row)
