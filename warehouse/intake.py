"""A batch's way into the warehouse: archived file in; raw, valid, warnings, quarantine, dispositions and ledger out.

Belongs here: loading a registered source, all of it or nothing. Does not belong here: reading and judging the records
(``warehouse.staging``), what clinicians send back (``warehouse.follow_up``), what an answer means (``models``).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

import duckdb

from schemas.contract import contract_version
from schemas.problems import FileRefused
from schemas.records import answer_schema
from warehouse import follow_up, ledger
from warehouse.disk import sha256_of
from warehouse.faults import has_room, is_of_the_machine, of_one_file, refusal_of_the_machine
from warehouse.formats.recognise import opened_source
from warehouse.home import Home
from warehouse.ledger import Reconciled
from warehouse.reading_plan import note_mapping, plan_of
from warehouse.sources import Batch, batch_of
from warehouse.staging import stage, unstage
from warehouse.store import NoRoom, WarehouseFailed, WarehouseRefused, kept_open, opened

# How long many batches are loaded before others get at the warehouse, and how long they are given.
OPEN_SECONDS, LET_IN_SECONDS = 20.0, 0.2
_ANSWERS = ", ".join(f'"{field.name}"' for field in answer_schema())


def load(home: Home, batch_id: str) -> Reconciled:
    """Load one registered batch in one transaction; loading it again changes nothing and gives the same counts.

    A file that cannot be taken in, for whatever reason of its own, is written to the ledger as refused, with its code
    and, for an error of the program, with kind and place. Raises WarehouseBusy, NoRoom, WarehouseRefused for what is
    wrong with the machine or the warehouse as a whole: the batch then waits as it did.
    """
    try:
        with opened(home, "load a batch") as connection:
            done = ledger.reconciled(connection, batch_id)
            if done:
                return done
            batch = batch_of(connection, batch_id)
            _check_archive(connection, home)
            with of_one_file():
                counts = load_records(connection, home, batch)
            ledger.write(connection, counts, "arrival")
            return counts
    except FileRefused as refused:
        why = refused
    except NoRoom:
        if not has_room(home.root):
            raise
        why = FileRefused("not_loaded")
    counts = Reconciled(batch_id, 0, 0, 0, 0, 0, 0, 0, why.code, why.columns, refusal_place=why.place)
    with opened(home, "note a refused file") as connection:
        ledger.write(connection, counts, "refused")
    return counts


def load_each(home: Home, batch_ids: Sequence[str]) -> Iterator[Reconciled]:
    """Load batches one after the other, each in its own transaction; gives the counts of each when it is kept.

    The file stays open meanwhile, and is let go from time to time for whoever waits. Raises what ``load`` raises;
    batches before that are loaded, the others wait.
    """
    left = deque(batch_ids)
    while left:
        ends = time.monotonic() + OPEN_SECONDS
        try:
            with kept_open(home, "load batches"):
                while left and time.monotonic() < ends:
                    counts = load(home, left[0])
                    left.popleft()
                    yield counts
        except (WarehouseFailed, NoRoom):
            # What one file leaves behind, a full disk or an invalid warehouse, is gone once that is closed: whose
            # error it is shows when the file is tried alone.
            counts = load(home, left[0])
            left.popleft()
            yield counts
        if left:
            time.sleep(LET_IN_SECONDS)


def archived_file(home: Home, batch: Batch) -> Path:
    """The archived file of a batch.

    Raises FileRefused (archive_gone, archive_changed), and WarehouseRefused where the machine cannot read any file now:
    a good file is not lost for that.
    """
    file = home.archive / batch.sha256
    try:
        found = sha256_of(file)
    except OSError as error:
        if is_of_the_machine(error):
            raise refusal_of_the_machine(error) from None
        raise FileRefused("archive_gone") from None
    if found != batch.sha256:
        raise FileRefused("archive_changed")
    return file


def _check_archive(connection: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Raises WarehouseRefused where the archive lacks everything: a folder that is not mounted is no lost file."""
    if any(home.archive.iterdir()):
        return
    ((files,),) = connection.execute("SELECT count(DISTINCT sha256) FROM intake_archived").fetchall()
    if files > 1:
        raise WarehouseRefused(
            f"the archive is empty, though {files} files are in it: is its disk there? Batches wait until it is"
        )


def load_records(connection: duckdb.DuckDBPyConnection, home: Home, batch: Batch) -> Reconciled:
    """Read a batch's file and keep every record of it; gives the counts, which the caller enters in the ledger.

    Raises FileRefused where the file cannot be taken in, also where its counts do not add up.
    """
    with opened_source(archived_file(home, batch)) as source:
        contents = follow_up.contents_of(source.header.columns)
        if contents != "intake":
            return follow_up.load(connection, home, batch, source, contents)
        plan = plan_of(home, source, batch.clinic)
        set_aside = stage(connection, home, batch, source, plan)
    note_mapping(connection, batch.batch_id, plan.mapping)
    decide(connection, batch)
    connection.execute(
        """
        INSERT INTO intake_disposition SELECT $batch, record_number, disposition FROM decided
        WHERE disposition <> 'conflicting_version'
        UNION ALL SELECT DISTINCT $batch, record_number, 'quarantined' FROM staged_problem
        """,
        {"batch": batch.batch_id},
    )
    quarantine_staged(connection, batch)
    unstage(connection)
    return _counted(connection, batch.batch_id, unknown_columns=plan.unread, read_as=plan.name, set_aside=set_aside)


def decide(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Give each staged record its disposition; what is accepted or superseded stays, with its warnings and its note.

    A record that conflicts with one that came before joins the staged problems. Leaves the table ``decided``.
    """
    connection.execute(resources.files("warehouse").joinpath("dispositions.sql").read_text("utf-8"))
    bound = {"batch": batch.batch_id}
    kept = "SELECT record_number FROM decided WHERE disposition IN ('accepted', 'superseded')"
    for kind in ("warning", "note"):
        connection.execute(f"INSERT INTO intake_{kind} SELECT * FROM staged_{kind} WHERE record_number IN ({kept})")
    connection.execute(
        f"INSERT INTO staged_unread SELECT batch_id, record_number, {_ANSWERS} FROM intake_valid "
        "JOIN decided USING (record_number) WHERE batch_id = $batch AND disposition = 'conflicting_version'",
        bound,
    )
    connection.execute(
        "INSERT INTO staged_problem SELECT record_number, disposition, NULL, NULL FROM decided "
        "WHERE disposition = 'conflicting_version'"
    )
    connection.execute(
        "DELETE FROM intake_valid WHERE batch_id = $batch AND record_number IN "
        "(SELECT record_number FROM decided WHERE disposition IN ('duplicate', 'conflicting_version'))",
        bound,
    )


def quarantine_staged(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Enter every staged problem in the quarantine, one row a record, with what could be read of it."""
    connection.execute("INSERT INTO intake_unread SELECT * FROM staged_unread")
    connection.execute(
        """
        INSERT INTO intake_quarantine
        SELECT $batch, p.record_number, any_value(u.clinic_id), any_value(u.record_id), $received, $contract,
               list(struct_pack(code := p.code, column_name := p.column_name, cell := p.cell)
                    ORDER BY p.column_name, p.code)
        FROM staged_problem p LEFT JOIN staged_unread u USING (record_number)
        GROUP BY p.record_number
        """,
        {"batch": batch.batch_id, "received": batch.received_at, "contract": contract_version()},
    )


def _counted(
    connection: duckdb.DuckDBPyConnection, batch_id: str, *, unknown_columns: int, read_as: str, set_aside: int
) -> Reconciled:
    ((*counts, noted, withdrawn),) = connection.execute(
        """
        SELECT (SELECT count(*) FROM intake_raw WHERE batch_id = $batch AND record_number > 0),
               count(*) FILTER (disposition = 'accepted'), count(*) FILTER (disposition = 'quarantined'),
               count(*) FILTER (disposition = 'duplicate'), count(*) FILTER (disposition = 'superseded'),
               (SELECT count(DISTINCT record_number) FROM intake_warning
                WHERE batch_id = $batch AND code <> 'source_note'),
               (SELECT count(DISTINCT record_number) FROM intake_warning
                WHERE batch_id = $batch AND code = 'source_note'),
               (SELECT count(*) FROM intake_quarantine WHERE batch_id = $batch AND problems[1].code = 'withdrawn')
        FROM intake_disposition WHERE batch_id = $batch
        """,
        {"batch": batch_id},
    ).fetchall()
    counted = Reconciled(
        batch_id, *counts, unknown_columns, read_as=read_as, set_aside=set_aside, noted=noted, withdrawn=withdrawn
    )
    if not counted.balanced:
        raise FileRefused("counts_differ")
    return counted
