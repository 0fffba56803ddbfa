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

from schemas.answers import typed
from schemas.form import questions
from schemas.mapping.plan import Plan
from warehouse.formats.block import Block
from warehouse.home import Home
from warehouse.store import WarehouseRefused

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


def padding(secret: bytes) -> dict[str, bytes]:
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
        connection.execute("INSERT INTO withdrawn_key VALUES ('', 'check', ?, ?)", [check, datetime.now(UTC)])
    return secret


def without_withdrawn(
    connection: duckdb.DuckDBPyConnection, home: Home, batch_id: str, clinic: str, block: Block, plan: Plan | None
) -> Block:
    """The block without anything of the records that were erased before.

    Such a record keeps its number; its text is '', it has no cells, and it is broken with the code ``withdrawn``. Its
    number is noted, so that the archived file loses it too. ``clinic``: the folder the file came from, or ''. ``plan``:
    how the file becomes the form; None where its own columns name the key (outcomes and decisions). A record
    is known by its id; by its patient key where a person was erased, unless it was submitted after that (a new form of
    somebody who is a patient again must be read); and by its text where it was erased as unreadable.

    Raises WarehouseRefused where the key of the hashes is missing.
    """
    if connection.execute("SELECT count(*) FROM withdrawn_key WHERE kind <> 'check'").fetchone() == (0,):
        return block
    secret = own_secret(home, connection)
    cells = plan.to_form(block.cells).cells if plan else block.cells
    by_key = _withdrawn_rows(connection, secret, clinic, cells)
    rows = block.cells["row"].gather(by_key)
    texts = block.texts.gather(block.broken["row"])
    rows = pl.concat([rows, block.broken["row"].gather(_withdrawn_texts(connection, secret, clinic, texts))])
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
    connection: duckdb.DuckDBPyConnection, secret: bytes, clinic: str, cells: pl.DataFrame
) -> pl.Series:
    """Places of the rows of form cells that were withdrawn."""
    keys = form_keys(cells, clinic).with_row_index("place")
    connection.register("arriving_key", keys.to_arrow())
    found = connection.execute(
        f"""
        WITH known AS MATERIALIZED (SELECT * FROM withdrawn_key)
        SELECT place FROM arriving_key SEMI JOIN (SELECT keyed_hash FROM known WHERE kind = 'record') k
            ON k.keyed_hash = {hashed("record", "clinic_id", "record_id")}
        UNION
        SELECT place FROM arriving_key a JOIN (SELECT keyed_hash, since FROM known WHERE kind = 'person') k
            ON k.keyed_hash = {hashed("person", "clinic_id", "patient_key")}
        WHERE patient_key IS NOT NULL AND (a.submitted_at IS NULL OR a.submitted_at <= k.since)
        ORDER BY place
        """,
        padding(secret),
    ).pl()
    connection.unregister("arriving_key")
    return found["place"].cast(pl.UInt32)


def _withdrawn_texts(connection: duckdb.DuckDBPyConnection, secret: bytes, clinic: str, texts: pl.Series) -> pl.Series:
    """Places of the texts, of records that are not well-formed, that were withdrawn."""
    if texts.is_empty():
        return pl.Series(dtype=pl.UInt32)
    connection.register("arriving_text", pl.DataFrame({"text": texts}).with_row_index("place").to_arrow())
    found = connection.execute(
        f"""
        SELECT place FROM arriving_text SEMI JOIN (SELECT keyed_hash FROM withdrawn_key WHERE kind = 'text') k
            ON k.keyed_hash = {hashed("text", "$clinic", "text")}
        ORDER BY place
        """,
        padding(secret) | {"clinic": clinic},
    ).pl()
    connection.unregister("arriving_text")
    return found["place"].cast(pl.UInt32)


def form_keys(cells: pl.DataFrame, clinic: str) -> pl.DataFrame:
    """clinic_id, record_id, patient_key (text, null where blank) and submitted_at (UTC) of rows of form cells.

    ``clinic``: the folder the file came from, taken where the row names none; '' for none.
    """
    columns = ("clinic_id", "record_id", "patient_key", "submitted_at")
    text = cells.select(
        (pl.col(column) if column in cells.columns else pl.lit(None, pl.String)).str.strip_chars().alias(column)
        for column in columns
    )
    if text.height != cells.height:  # a frame of literals alone has one row
        text = pl.DataFrame({column: [None] * cells.height for column in columns}, dict.fromkeys(columns, pl.String))
    blank = [pl.when(pl.col(column) != "").then(pl.col(column)).alias(column) for column in columns]
    return text.select(blank).with_columns(
        pl.col("clinic_id").fill_null(clinic or None), typed(questions()["submitted_at"])
    )


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
    connection.register("arriving_number", pl.DataFrame({"record_number": numbers}).to_arrow())
    connection.execute("INSERT INTO withdrawn_arrival SELECT ?, record_number FROM arriving_number", [batch_id])
    connection.unregister("arriving_number")


def _make(file: Path) -> None:
    half = file.with_name(f".half-{file.name}")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as new:
        new.write(secrets.token_hex(KEY_BYTES))
        new.flush()
        os.fsync(new.fileno())
    half.replace(file)
