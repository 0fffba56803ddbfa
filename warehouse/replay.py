"""Refused records tried again, and refused forms that a person has dealt with.

Belongs here: reading the quarantined records of a batch once more from the archive, after the contract, the mapping or
the program changed. What was counted on arrival never changes: a record that leaves the quarantine gets a row in
``intake_release``, and the batch a further row in the ledger. A mended file is not replayed: it is a new file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl

from schemas.problems import DismissReason, FileRefused
from warehouse import audit, intake, ledger
from warehouse.faults import of_one_file
from warehouse.formats.recognise import opened_source
from warehouse.home import Home
from warehouse.ledger import Reconciled
from warehouse.reading_plan import note_mapping, plan_of
from warehouse.retention import purged_at
from warehouse.sources import Batch, batch_of
from warehouse.staging import stage, unstage
from warehouse.store import WarehouseRefused, opened
from warehouse.withdrawing.tables import WHOLE_FILE


class NothingQuarantined(Exception):
    """No such record waits in the quarantine; the message is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a batch's quarantined records: tried = released + still_refused, or the file's refusal code."""

    batch_id: str
    tried: int
    released: int
    still_refused: int
    refusal: str | None = None

    @property
    def sentence(self) -> str:
        """The outcome in plain words."""
        if self.refusal:
            return f"still refused whole ({self.refusal})"
        return f"{self.tried} tried again = {self.released} now read + {self.still_refused} still refused"


def waiting(home: Home) -> list[str]:
    """Batches with refused records, or refused whole, oldest first; not those whose archived file was destroyed."""
    with opened(home, "look at the quarantine") as connection:
        rows = connection.execute(
            """
            SELECT batch_id FROM intake_file f
            WHERE (batch_id IN (SELECT batch_id FROM intake_waiting)
                   OR batch_id IN (SELECT batch_id FROM intake_unread_file))
              AND batch_id NOT IN (SELECT batch_id FROM withdrawn_file WHERE destroyed)
            ORDER BY received_at, batch_id
            """
        ).fetchall()
    return [batch_id for (batch_id,) in rows]


def replay(home: Home, batch_id: str) -> Replayed:
    """Try a batch's quarantined records, or its refused file, once more; all of it in one transaction.

    A record that can be read now gets the disposition that it would have had, with the time at which its batch
    arrived. What goes wrong because of the file alone is its refusal. Raises NothingQuarantined, WarehouseBusy,
    WarehouseRefused (also where the archived file was purged, or is gone though records of it wait).
    """
    # The refusal has to pass through the transaction: what was read of the file before it is then rolled back.
    try:
        return _replayed(home, batch_id)
    except FileRefused as still:
        return Replayed(batch_id, 0, 0, 0, still.code)


def _replayed(home: Home, batch_id: str) -> Replayed:
    with opened(home, "replay a batch") as connection:
        batch = batch_of(connection, batch_id)
        if not (home.archive / batch.sha256).is_file() and (removed := purged_at(connection, batch_id)):
            raise WarehouseRefused(
                f"the archived file of this batch was purged on {removed:%Y-%m-%d}, as the settings ask for: nothing "
                "of it waited then; ask the clinic to send it again"
            )
        refused = connection.execute(
            "SELECT count(*) FROM intake_refused_file WHERE batch_id = ?", [batch_id]
        ).fetchone() != (0,)
        return _load_whole(connection, home, batch) if refused else _replay(connection, home, batch)


def dismiss(home: Home, batch_id: str, record_number: int, *, by: str, reason: DismissReason) -> None:
    """Take a refused form off the list of unread forms: a person has dealt with it. The quarantine keeps it.

    ``record_number``: ``WHOLE_FILE`` for a file that was refused whole. ``by``: who did. Raises NothingQuarantined.
    """
    with opened(home, "dismiss a refused form") as connection:
        found = connection.execute(
            "SELECT (SELECT count(*) FROM intake_waiting WHERE batch_id = $batch AND record_number = $number) "
            "+ (SELECT count(*) FROM intake_unread_file WHERE batch_id = $batch AND $number = $whole)",
            {"batch": batch_id, "number": record_number, "whole": WHOLE_FILE},
        ).fetchone()
        if found == (0,):
            raise NothingQuarantined("no such record or file waits in the quarantine: see hiptriage quarantine list")
        connection.execute(
            "INSERT INTO intake_release VALUES (?, ?, ?, 'dismissed', NULL, ?, ?)",
            [batch_id, record_number, datetime.now(UTC), by, reason],
        )
        ledger.write(connection, Reconciled(batch_id, 0, 0, 0, 0, 0, 0, 0), "dismissal")
        # The batch alone: with the number of the record it would say who.
        what = "files" if record_number == WHOLE_FILE else "records"
        audit.enter(connection, "dismissal", subject=batch_id, by=by, reason=reason, counts={what: 1})


def _load_whole(connection: duckdb.DuckDBPyConnection, home: Home, batch: Batch) -> Replayed:
    with of_one_file():
        counts = intake.load_records(connection, home, batch)
    ledger.write(connection, counts, "replay")
    return Replayed(batch.batch_id, counts.received, counts.received - counts.quarantined, counts.quarantined)


def _replay(connection: duckdb.DuckDBPyConnection, home: Home, batch: Batch) -> Replayed:
    arrival = ledger.reconciled(connection, batch.batch_id)
    waiting = connection.execute("SELECT record_number FROM intake_waiting WHERE batch_id = ?", [batch.batch_id]).pl()[
        "record_number"
    ]
    if arrival is None or waiting.is_empty():
        raise NothingQuarantined("nothing of this batch waits in the quarantine: see hiptriage quarantine list")
    if arrival.contents != "intake":
        raise NothingQuarantined(
            "a file of outcomes, decisions or safety concerns is not replayed: send the mended rows as a new file"
        )
    try:
        file = intake.archived_file(home, batch)
    except FileRefused as gone:
        raise WarehouseRefused(str(gone)) from None  # the batch itself was never refused
    with of_one_file():
        return _read_again(connection, home, batch, file, waiting)


def _read_again(
    connection: duckdb.DuckDBPyConnection, home: Home, batch: Batch, file: Path, waiting: pl.Series
) -> Replayed:
    with opened_source(file) as source:
        plan = plan_of(home, source, batch.clinic)
        set_aside = stage(connection, home, batch, source, plan, only=waiting)
    note_mapping(connection, batch.batch_id, plan.mapping)
    intake.decide(connection, batch)
    connection.execute(
        "INSERT INTO intake_release SELECT ?, record_number, ?, 'replayed', disposition, NULL, NULL FROM decided "
        "WHERE disposition <> 'conflicting_version'",
        [batch.batch_id, datetime.now(UTC)],
    )
    # What is refused now, and why, takes the place of what was refused before.
    for table in ("intake_quarantine", "intake_unread", "unread_form"):
        connection.execute(
            f"DELETE FROM {table} WHERE batch_id = ? AND record_number IN (SELECT record_number FROM staged_problem)",
            [batch.batch_id],
        )
    intake.quarantine_staged(connection, batch)
    # Rows that are no records of ours by today's reading wait on as they are.
    counts = _counts(connection, batch, waiting.len() - set_aside)
    ledger.write(connection, replace(counts, read_as=plan.name), "replay")
    unstage(connection)
    return Replayed(batch.batch_id, counts.received, counts.received - counts.quarantined, counts.quarantined)


def _counts(connection: duckdb.DuckDBPyConnection, batch: Batch, tried: int) -> Reconciled:
    """The counts of one replay: tried = accepted + quarantined + duplicate + superseded."""
    said = dict(connection.execute("SELECT disposition, count(*) FROM decided GROUP BY disposition").fetchall())
    ((refused,),) = connection.execute("SELECT count(DISTINCT record_number) FROM staged_problem").fetchall()
    ((withdrawn,),) = connection.execute(
        "SELECT count(DISTINCT record_number) FROM staged_problem WHERE code = 'withdrawn'"
    ).fetchall()
    ((warned,),) = connection.execute(
        "SELECT count(DISTINCT record_number) FROM staged_warning JOIN decided USING (record_number) "
        "WHERE disposition IN ('accepted', 'superseded') AND code <> 'source_note'"
    ).fetchall()
    counts = Reconciled(
        batch.batch_id,
        received=tried,
        accepted=said.get("accepted", 0),
        quarantined=refused,
        duplicate=said.get("duplicate", 0),
        superseded=said.get("superseded", 0),
        warned=warned,
        unknown_columns=0,
        withdrawn=withdrawn,
    )
    if not counts.balanced:
        raise FileRefused("counts_differ")
    return counts
