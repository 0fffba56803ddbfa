"""Withdrawing a record: restricted (kept, shown to nobody) or erased, and what is entered about it.

Belongs here: the audit, hiding and showing again, and the one transaction that takes every row of a record out of the
tables. Does not belong here: finding the rows (``warehouse.withdrawing.search``), what an erasure has to do after its
rows are gone (``warehouse.withdrawing.erasure``), keeping it out later (``warehouse.withdrawing.withdrawn``).

The audit holds who, when, why, how and counts, and a keyed hash; no record id, no key of a person, no name of a file.
"""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import polars as pl

from warehouse import audit, ledger
from warehouse.home import Home
from warehouse.ledger import Reconciled
from warehouse.store import WarehouseRefused
from warehouse.withdrawing.search import Found, Named
from warehouse.withdrawing.tables import KEY, PLACE, WHOLE_FILE, tables_with
from warehouse.withdrawing.terms import Agreed, How
from warehouse.withdrawing.withdrawn import Kind, keyed_hash, own_secret

DISPOSITIONS = ("accepted", "quarantined", "duplicate", "superseded")


def restrict(connection: duckdb.DuckDBPyConnection, home: Home, found: Found, agreed: Agreed) -> None:
    """Hide every record of ``found`` from now on, also versions that are still to come; nothing is deleted."""
    now = datetime.now(UTC)
    for record_id in found.record_ids:
        connection.execute(
            "INSERT OR IGNORE INTO withdrawn_record VALUES (?, ?, 'restrict', ?)",
            [found.named.clinic_id, record_id, now],
        )
    _enter(connection, home, "restrict", found, agreed, now)


def lift(connection: duckdb.DuckDBPyConnection, home: Home, found: Found, agreed: Agreed) -> int:
    """Show restricted records again, and let what was erased come in again if it is sent; gives how many were held.

    An erasure is taken back whole: with a person, all records that went with it. Nothing is entered where none was
    withdrawn. Raises WarehouseRefused where the record went with others of a person who is not named.
    """
    clinic, now = found.named.clinic_id, datetime.now(UTC)
    ids = {"clinic": clinic, "ids": list(found.record_ids)}
    shown = connection.execute(
        "DELETE FROM withdrawn_record WHERE clinic_id = $clinic AND record_id IN (SELECT unnest($ids::VARCHAR[])) "
        "RETURNING record_id",
        ids,
    ).fetchall()
    admitted = connection.execute(
        "DELETE FROM withdrawn_key WHERE withdrawal_number IN (SELECT unnest($numbers::INTEGER[])) "
        "RETURNING keyed_hash",
        {"numbers": _erasures(connection, home, found.named)},
    ).fetchall()
    if shown or admitted:
        number = _enter(connection, home, "lift", found, agreed, now)
        # Nothing has to go: the next publication shows it, and that is all.
        connection.execute("INSERT INTO withdrawal_step VALUES (?, 'ended', ?, NULL)", [number, now])
    return len(shown) + len(admitted)


def can_be_lifted(connection: duckdb.DuckDBPyConnection, home: Home, found: Found) -> bool:
    """Whether there is anything to take back: a record that is hidden, or an erasure of what was named."""
    hidden = connection.execute(
        "SELECT count(*) FROM withdrawn_record WHERE clinic_id = $clinic AND record_id IN "
        "(SELECT unnest($ids::VARCHAR[]))",
        {"clinic": found.named.clinic_id, "ids": list(found.record_ids)},
    ).fetchone()
    return hidden != (0,) or bool(_erasures(connection, home, found.named))


def is_restricted(connection: duckdb.DuckDBPyConnection, found: Found) -> bool:
    """Whether each of its records is hidden already, and there is at least one."""
    ((hidden,),) = connection.execute(
        "SELECT count(*) FROM withdrawn_record WHERE clinic_id = $clinic AND record_id IN "
        "(SELECT unnest($ids::VARCHAR[]))",
        {"clinic": found.named.clinic_id, "ids": list(found.record_ids)},
    ).fetchall()
    return bool(0 < hidden == len(found.record_ids))


def was_erased(connection: duckdb.DuckDBPyConnection, home: Home, named: Named) -> bool:
    """Whether the record or person was erased before and has not been let in again."""
    secret = own_secret(home, connection)
    hashes = [hash_ for _, hash_ in _own_hashes(secret, named)]
    found = connection.execute(
        "SELECT count(*) FROM withdrawn_key WHERE keyed_hash IN (SELECT unnest($hashes::VARCHAR[]))", {"hashes": hashes}
    ).fetchone()
    return found != (0,)


def erase(connection: duckdb.DuckDBPyConnection, home: Home, found: Found, agreed: Agreed) -> None:
    """Take every row of ``found`` out of the tables and keep keyed hashes, all inside the caller's transaction.

    Once that is committed nobody needs to know any more whose record it was: the archived files lose it by its number
    (``warehouse.withdrawing.erasure``). A file's own name goes with its record: it may hold that of the patient.
    """
    now = datetime.now(UTC)
    rows = found.arrivals
    connection.register("erased_row", rows.to_arrow())
    keys = pl.DataFrame(
        {"clinic_id": [found.named.clinic_id] * len(found.record_ids), "record_id": found.record_ids},
        schema=dict.fromkeys(KEY, pl.String),
    )
    connection.register("erased_key", keys.to_arrow())
    _enter_in_ledger(connection)
    for table in tables_with(connection, PLACE):
        connection.execute(f"DELETE FROM {table} WHERE (batch_id, record_number) IN (FROM erased_row)")
    for table in tables_with(connection, KEY):
        connection.execute(f"DELETE FROM {table} WHERE (clinic_id, record_id) IN (FROM erased_key)")
    connection.execute("DELETE FROM withdrawn_record WHERE (clinic_id, record_id) IN (FROM erased_key)")
    _mark_files(connection, found)
    connection.unregister("erased_row")
    connection.unregister("erased_key")
    number = _enter(connection, home, "erase", found, agreed, now)
    for kind, hash_ in _hashes(own_secret(home, connection), found):
        connection.execute(
            "INSERT INTO withdrawn_key VALUES (?, ?, ?, ?, ?)", [found.named.clinic_id, kind, hash_, now, number]
        )


def _mark_files(connection: duckdb.DuckDBPyConnection, found: Found) -> None:
    """Note what the archived files have to lose: some records, or all that is left of the file."""
    connection.execute("INSERT INTO withdrawn_arrival FROM erased_row")
    emptied = connection.execute(
        "SELECT DISTINCT batch_id FROM erased_row WHERE batch_id NOT IN "
        "(SELECT batch_id FROM intake_raw WHERE record_number > 0)"
    ).fetchall()
    whole = sorted({batch_id for (batch_id,) in emptied} | set(found.refused_files))
    for batch_id in whole:
        # The header goes too: it stands for nothing any more.
        connection.execute("DELETE FROM intake_raw WHERE batch_id = ?", [batch_id])
        connection.execute("INSERT INTO withdrawn_arrival VALUES (?, ?)", [batch_id, WHOLE_FILE])
    connection.execute(
        "UPDATE intake_file SET original_name = '' WHERE batch_id IN (SELECT batch_id FROM withdrawn_arrival)"
    )


def _enter_in_ledger(connection: duckdb.DuckDBPyConnection) -> None:
    """One row a batch with the counts of what goes; the counts of its arrival stay as they are."""
    counted = connection.execute(
        "SELECT batch_id, " + ", ".join(f"count(*) FILTER (disposition = '{name}')" for name in DISPOSITIONS) + " "
        "FROM intake_disposition WHERE (batch_id, record_number) IN (FROM erased_row) "
        "GROUP BY batch_id ORDER BY batch_id"
    ).fetchall()
    for batch_id, *counts in counted:
        by_name = dict(zip(DISPOSITIONS, counts, strict=True))
        gone = Reconciled(batch_id, received=sum(counts), **by_name, warned=0, unknown_columns=0)
        ledger.write(connection, gone, "withdrawal")


def _hashes(secret: bytes, found: Found) -> list[tuple[Kind, str]]:
    """Everything that must not come back: the records, the person who was named, the texts of unreadable ones."""
    clinic = found.named.clinic_id
    own = _own_hashes(secret, found.named)
    records: list[tuple[Kind, str]] = [
        ("record", keyed_hash(secret, "record", clinic, record_id)) for record_id in found.record_ids
    ]
    texts: list[tuple[Kind, str]] = [("text", keyed_hash(secret, "text", *text)) for text in found.texts]
    return list(dict.fromkeys([*own, *records, *texts]))


def _erasures(connection: duckdb.DuckDBPyConnection, home: Home, named: Named) -> list[int]:
    """Numbers of the erasures that hold what was named. Raises WarehouseRefused where it is a part of one only."""
    hashes = [hash_ for _, hash_ in _own_hashes(own_secret(home, connection), named)]
    rows = connection.execute(
        "SELECT withdrawal_number, bool_or(k.kind = 'person' AND NOT list_contains($hashes::VARCHAR[], k.keyed_hash)) "
        "FROM withdrawn_key k WHERE withdrawal_number IN "
        "(SELECT withdrawal_number FROM withdrawn_key WHERE list_contains($hashes::VARCHAR[], keyed_hash)) "
        "GROUP BY withdrawal_number ORDER BY withdrawal_number",
        {"hashes": hashes},
    ).fetchall()
    if any(of_person for _, of_person in rows):
        raise WarehouseRefused(
            "this record was erased with all records of a person: take that back as a whole with --patient-key; "
            "nothing was changed"
        )
    return [number for number, _ in rows]


def _own_hashes(secret: bytes, named: Named) -> list[tuple[Kind, str]]:
    hashes: list[tuple[Kind, str]] = []
    if named.record_id is not None:
        hashes.append(("record", keyed_hash(secret, "record", named.clinic_id, named.record_id)))
    if named.patient_key is not None:
        hashes.append(("person", keyed_hash(secret, "person", named.clinic_id, named.patient_key)))
    return hashes


def _enter(
    connection: duckdb.DuckDBPyConnection, home: Home, how: How, found: Found, agreed: Agreed, now: datetime
) -> int:
    own = _own_hashes(own_secret(home, connection), found.named)
    files = found.arrivals["batch_id"].n_unique() + len(found.refused_files)
    ((number,),) = connection.execute("SELECT coalesce(max(withdrawal_number), 0) + 1 FROM withdrawal").fetchall()
    connection.execute(
        "INSERT INTO withdrawal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            number,
            now,
            how,
            agreed.by,
            agreed.reason,
            found.named.clinic_id,
            own[0][1] if own else "",
            list(found.clinics),
            len(found.record_ids),
            found.arrivals.height,
            files,
        ],
    )
    audit.enter(
        connection,
        "withdrawal",
        subject=str(number),
        by=agreed.by,
        reason=f"{how}: {agreed.reason}",
        counts={"records": len(found.record_ids), "arrivals": found.arrivals.height, "files": files},
    )
    return int(number)


def check_refused(connection: duckdb.DuckDBPyConnection, named: Named) -> None:
    """Raises WarehouseRefused where a refused record that was named is none of the clinic's."""
    for batch_id, number in named.refused:
        if number == WHOLE_FILE:
            found = connection.execute(
                "SELECT count(*) FROM intake_refused_file JOIN intake_file USING (batch_id) "
                "WHERE batch_id = ? AND clinic IN (?, '')",
                [batch_id, named.clinic_id],
            ).fetchone()
        else:
            found = connection.execute(
                "SELECT count(*) FROM intake_quarantine q JOIN intake_file f USING (batch_id) "
                "WHERE batch_id = ? AND record_number = ? AND coalesce(nullif(f.clinic, ''), q.clinic_id, $3) = $3",
                [batch_id, number, named.clinic_id],
            ).fetchone()
        if found == (0,):
            raise WarehouseRefused("no such refused record or file of this clinic: see hiptriage quarantine list")
