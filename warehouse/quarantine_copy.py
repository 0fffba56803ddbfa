"""The analysts' copy of the quarantine: written whole at each publication, opened by the owner's account alone.

Belongs here: making and reading the one file outside the archive and the warehouse that holds refused records'
text. It holds no name of a file. Does not belong here: showing it (``pipelines.commands.quarantine``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from warehouse.disk import sync
from warehouse.home import Home

BATCH_ROWS = 20_000

_TABLES = {
    "quarantine": """
        SELECT q.batch_id, q.record_number, coalesce(nullif(f.clinic, ''), q.clinic_id) AS clinic_id, q.record_id,
               q.received_at, q.contract_version, q.problems, r.record_text,
               coalesce((SELECT max(l.contents) FROM intake_ledger l
                         WHERE l.batch_id = q.batch_id AND l.event = 'arrival'), 'intake') AS contents
        FROM intake_waiting q JOIN intake_file f USING (batch_id)
        LEFT JOIN intake_raw r USING (batch_id, record_number)
        ORDER BY q.received_at, q.batch_id, q.record_number
    """,
    "header": """
        SELECT batch_id, record_text AS header_text FROM intake_raw
        WHERE record_number = 0 AND batch_id IN (SELECT batch_id FROM intake_waiting)
    """,
    "refused_file": "SELECT * FROM intake_unread_file ORDER BY happened_at, batch_id",
    "file": """
        SELECT batch_id, clinic, sha256, data_kind, size_bytes, received_at FROM intake_file
        ORDER BY received_at, batch_id
    """,
}


# What readers ask of the copy. Clinic, batch and record may be null: then all of them.
COUNTS = """
    SELECT batch_id, contents, problem.code, problem.column_name, count(DISTINCT record_number) AS records, received_at
    FROM (SELECT batch_id, contents, record_number, received_at, unnest(problems) AS problem FROM quarantine
          WHERE $clinic IS NULL OR clinic_id = $clinic)
    GROUP BY ALL ORDER BY received_at, batch_id, records DESC, problem.code, problem.column_name
"""
REFUSED_FILES = """
    SELECT r.batch_id, r.refusal, r.refusal_columns, r.happened_at FROM refused_file r JOIN file f USING (batch_id)
    WHERE $clinic IS NULL OR f.clinic = $clinic ORDER BY r.happened_at, r.batch_id
"""
SEND_BACK = """
    SELECT batch_id, record_number, contents, problem.code, problem.column_name
    FROM (SELECT batch_id, contents, record_number, received_at, unnest(problems) AS problem FROM quarantine
          WHERE ($clinic IS NULL OR clinic_id = $clinic) AND ($batch IS NULL OR batch_id = $batch))
    ORDER BY received_at, batch_id, record_number, 5, 4
"""
IN_FULL = """
    SELECT batch_id, record_number, contents, problems, record_text, header_text
    FROM quarantine LEFT JOIN header USING (batch_id)
    WHERE ($batch IS NULL OR batch_id = $batch) AND ($record IS NULL OR record_number = $record)
    ORDER BY received_at, batch_id, record_number
"""


class QuarantineMissing(Exception):
    """There is no copy of the quarantine to read; the message is one plain sentence."""


class QuarantineClosed(Exception):
    """The copy belongs to another account; the message is one plain sentence."""


def replace(home: Home) -> None:
    """Write the copy anew from the warehouse and put it in place of the old one in one step.

    The caller holds the warehouse lock. Raises WarehouseBusy, WarehouseRefused.
    """
    from warehouse.store import opened  # brings pyarrow, which readers of the copy do without

    half = home.root / ".half-quarantine.duckdb"
    # A killed publisher may have left these; the caller's lock says that nobody is writing them now.
    for left in (half, half.with_name(f"{half.name}.wal")):
        left.unlink(missing_ok=True)
    with opened(home, "copy the quarantine") as connection:
        target = duckdb.connect(half)
        try:
            half.chmod(0o600)
            target.execute("SET TimeZone = 'UTC'")
            for table, query in _TABLES.items():
                target.register("arriving", connection.execute(query).to_arrow_reader(BATCH_ROWS))
                target.execute(f"CREATE TABLE {table} AS SELECT * FROM arriving")
                target.unregister("arriving")
            target.execute("CHECKPOINT")
        finally:
            target.close()
    _put_in_place(half, home.quarantine_copy)


def _put_in_place(half: Path, final: Path) -> None:
    sync(half)
    half.replace(final)


@contextmanager
def reading(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to the copy: tables quarantine, header, refused_file and file.

    Raises QuarantineMissing, QuarantineClosed.
    """
    if not home.quarantine_copy.is_file():
        raise QuarantineMissing("nothing has been published yet: take in a file first with hiptriage run FILE")
    if not os.access(home.quarantine_copy, os.R_OK):
        raise QuarantineClosed("the quarantine may be opened by the analyst's account only")
    connection = duckdb.connect(home.quarantine_copy, read_only=True)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()
