"""What was erased must not come back: keyed hashes of it, and records of new files held against them.

Belongs here: the home's secret key, hashing in columns, and taking withdrawn records out of a block before anything of
it is kept. Does not belong here: withdrawing (``warehouse.withdrawing.withdrawal``), taking records out of archived
files (``warehouse.withdrawing.erasure``).

A hash is an HMAC-SHA256 under ``withdrawal.key``, a file of random bytes in the home: without it nobody can try
numbers until one fits. Whoever moves a home has to move that file with it.
"""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import duckdb
import polars as pl
import pyarrow as pa

from schemas.mapping.plan import Plan
from warehouse.formats.block import Block, Header
from warehouse.home import Home
from warehouse.store import WarehouseRefused, execute_over
from warehouse.withdrawing.naming import form_keys, named_in

Kind = Literal["record", "person", "text", "file", "check"]
CODE = "withdrawn"  # of schemas/problems.csv
KEY_FILE = "withdrawal.key"
KEY_BYTES = 32
_HASH_BLOCK = 64  # of SHA-256, in bytes
_BETWEEN = "\x1f"


def keyed_hash(secret: bytes, kind: Kind, clinic: str, value: str) -> str:
    """The hash (hex) of a record id, patient key, record text or file hash of a clinic ('' where none counts)."""
    return hmac.new(secret, _BETWEEN.join((kind, clinic, value)).encode(), "sha256").hexdigest()


def hashed(kind: Kind, clinic: str, value: str) -> str:
    """SQL for the same over columns; ``clinic`` and ``value`` are SQL. Bind ``padding(secret)`` with it."""
    message = f"encode(concat('{kind}', chr(31), {clinic}, chr(31), {value}))"
    return f"sha256($outer::BLOB || unhex(sha256($inner::BLOB || {message})))"


def padding(secret: bytes) -> dict[str, bytes | str]:
    """The two padded keys of HMAC (RFC 2104), to bind as ``$inner`` and ``$outer``."""
    key = secret.ljust(_HASH_BLOCK, b"\0")
    return {"inner": bytes(byte ^ 0x36 for byte in key), "outer": bytes(byte ^ 0x5C for byte in key)}


def own_secret(home: Home, connection: duckdb.DuckDBPyConnection) -> bytes:
    """The home's key, made on first use. The caller holds the lock.

    Raises WarehouseRefused where hashes were made with another key than the one that lies there: records that were
    erased would come in again unnoticed.
    """
    file = home.root / KEY_FILE
    used = connection.execute("SELECT keyed_hash FROM withdrawn_key WHERE kind = 'check'").fetchone()
    if used is None and not file.exists():
        _make(file)
    try:
        secret = bytes.fromhex(file.read_text("ascii"))
    except (OSError, ValueError):
        secret = b""
    check = keyed_hash(secret, "check", "", "")
    if len(secret) != KEY_BYTES or (used and used[0] != check):
        raise WarehouseRefused(
            f"{KEY_FILE} is missing from the home or is another one, and erased records could come in again: put back "
            "the file that belongs to this home; nothing was changed"
        )
    if used is None:
        connection.execute("INSERT INTO withdrawn_key VALUES ('', 'check', ?, ?, NULL)", [check, datetime.now(UTC)])
    return secret


def without_withdrawn(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    batch_id: str,
    clinic: str,
    header: Header,
    block: Block,
    plan: Plan | None,
) -> Block:
    """The block without anything of the records that were erased before.

    Such a record keeps its number; its text is '', it has no cells, and it is broken with the code ``withdrawn``. Its
    number is noted, so that the archived file loses it too. ``clinic``: the folder the file came from, or ''. ``plan``:
    how the file becomes the form; None where its own columns name the key (what clinicians send back). A record
    is known by its id, in the clinic of its row or of its folder; by its patient key where a person was erased and it
    was submitted before that (a new form of somebody who is a patient again must be read, and so must one whose time
    cannot be read); a record that is not well-formed by a cell that holds the id, or by its text.

    Raises WarehouseRefused where the key of the hashes is missing.
    """
    if connection.execute("SELECT count(*) FROM withdrawn_key WHERE kind <> 'check'").fetchone() == (0,):
        return block
    secret = own_secret(home, connection)
    by_key = _withdrawn_rows(connection, secret, clinic, block.cells, plan)
    texts = block.broken.select("row", block.texts.gather(block.broken["row"]).alias("text"))
    rows = pl.concat([by_key, _withdrawn_texts(connection, secret, clinic, header, texts)])
    if rows.is_empty():
        return block
    _note(connection, batch_id, block.numbers.gather(rows))
    remaining = ~pl.col("row").is_in(rows.implode())
    gone = pl.DataFrame({"row": rows, "code": [CODE] * rows.len()}, schema=block.broken.schema)
    return replace(
        block,
        texts=block.texts.scatter(rows, ""),
        cells=block.cells.filter(remaining),
        broken=pl.concat([block.broken.filter(remaining), gone]),
    )


def _withdrawn_rows(
    connection: duckdb.DuckDBPyConnection, secret: bytes, clinic: str, source: pl.DataFrame, plan: Plan | None
) -> pl.Series:
    """Rows of the source's cells that were withdrawn."""
    mapped = plan.to_form(source) if plan else None
    keys = form_keys(mapped.cells if mapped else source, clinic).with_columns(source["row"])
    if mapped:
        # An id that the mapping refused is still the id.
        refused = mapped.problems.filter(pl.col("column") == "record_id")
        at = keys[refused["row"].cast(pl.UInt32)]
        own = form_keys(pl.DataFrame({"record_id": refused["cell"]}, {"record_id": pl.String}), clinic)["record_id"]
        keys = pl.concat([keys, at.with_columns(own.alias("record_id"))])
    query = f"""
        WITH known AS MATERIALIZED (SELECT * FROM withdrawn_key)
        SELECT row FROM arriving SEMI JOIN (SELECT keyed_hash FROM known WHERE kind = 'record') k
            ON k.keyed_hash = {hashed("record", "clinic_id", "record_id")}
        UNION
        SELECT row FROM arriving a JOIN (SELECT keyed_hash, since FROM known WHERE kind = 'person') k
            ON k.keyed_hash = {hashed("person", "clinic_id", "patient_key")}
        WHERE patient_key IS NOT NULL AND a.submitted_at <= k.since
        ORDER BY row
    """
    return _rows(connection, _in_both_clinics(keys, clinic), query, padding(secret))


def _withdrawn_texts(
    connection: duckdb.DuckDBPyConnection, secret: bytes, clinic: str, header: Header, texts: pl.DataFrame
) -> pl.Series:
    """Rows of the texts, of records that are not well-formed, that were withdrawn or name a withdrawn record."""
    if texts.is_empty():
        return pl.Series(dtype=pl.UInt32)
    whole = f"""
        SELECT row FROM arriving SEMI JOIN (SELECT keyed_hash FROM withdrawn_key WHERE kind = 'text') k
            ON k.keyed_hash = {hashed("text", "$clinic", "text")}
    """
    named = f"""
        SELECT DISTINCT row FROM arriving SEMI JOIN (SELECT keyed_hash FROM withdrawn_key WHERE kind = 'record') k
            ON k.keyed_hash = {hashed("record", "clinic_id", "value")}
    """
    values = named_in(texts, header).with_columns(pl.col("clinic_id").fill_null(pl.lit(clinic)))
    rows = [
        _rows(connection, texts, whole, padding(secret) | {"clinic": clinic}),
        _rows(connection, _in_both_clinics(values, clinic), named, padding(secret)),
    ]
    return pl.concat(rows).unique().sort()


def _in_both_clinics(keys: pl.DataFrame, clinic: str) -> pl.DataFrame:
    """The keys under the clinic of their row, and again under that of their folder where it is another."""
    if not clinic:
        return keys
    other = keys.filter(pl.col("clinic_id") != clinic).with_columns(pl.lit(clinic).alias("clinic_id"))
    return pl.concat([keys, other])


def _rows(
    connection: duckdb.DuckDBPyConnection, frame: pl.DataFrame, query: str, bound: dict[str, bytes | str]
) -> pl.Series:
    return _fetched(connection, frame.to_arrow(), query, bound)["row"].cast(pl.UInt32)


def _fetched(
    connection: duckdb.DuckDBPyConnection, arriving: pa.Table, query: str, bound: dict[str, bytes | str]
) -> pl.DataFrame:
    """What a query over ``arriving`` gives. DuckDB finds it by its name, as in ``warehouse.store.execute_over``."""
    return connection.execute(query, bound).pl()


def earlier_batch(connection: duckdb.DuckDBPyConnection, home: Home, clinic: str, sha256: str) -> str | None:
    """The batch that brought these bytes before its file lost a record or was destroyed, else None.

    ``clinic``: the folder they come from now. The copy that was just put into the archive is removed where it is no
    other batch's own: it holds what was erased. Raises WarehouseRefused where the key of the hashes is missing.
    """
    if connection.execute("SELECT count(*) FROM withdrawn_file").fetchone() == (0,):
        return None
    hash_ = keyed_hash(own_secret(home, connection), "file", "", sha256)
    known = connection.execute(
        "SELECT batch_id FROM withdrawn_file WHERE clinic = ? AND keyed_hash = ?", [clinic, hash_]
    ).fetchone()
    if known is None:
        return None
    if sha256 not in archived_of_batches(connection):
        (home.archive / sha256).unlink(missing_ok=True)
    return str(known[0])


def archived_of_batches(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """SHA-256 of every archived file that a batch has as its own; not of those that were destroyed."""
    rows = connection.execute(
        "SELECT sha256 FROM intake_file WHERE batch_id NOT IN (SELECT batch_id FROM withdrawn_file WHERE destroyed)"
    ).fetchall()
    return {sha256 for (sha256,) in rows}


def _note(connection: duckdb.DuckDBPyConnection, batch_id: str, numbers: pl.Series) -> None:
    """Note what the archived file has to lose; its own name may be that of the patient, and goes now.

    A replay may be the first to see whose record it is; what was kept of its text goes too.
    """
    table, bound = pl.DataFrame({"record_number": numbers}).to_arrow(), {"batch": batch_id}
    execute_over(connection, table, "INSERT INTO withdrawn_arrival SELECT $batch, record_number FROM arriving", bound)
    query = "UPDATE intake_raw SET record_text = '' FROM arriving a WHERE batch_id = $batch AND "
    execute_over(connection, table, f"{query} intake_raw.record_number = a.record_number", bound)
    connection.execute("UPDATE intake_file SET original_name = '' WHERE batch_id = $batch", bound)


def _make(file: Path) -> None:
    half = file.with_name(f".half-{file.name}")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as new:
        new.write(secrets.token_hex(KEY_BYTES))
        new.flush()
        os.fsync(new.fileno())
    half.replace(file)
