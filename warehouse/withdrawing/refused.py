"""Files that were refused whole: nothing of them is in a table, and the archive still holds them.

Belongs here: looking for an id in a file that no reader takes. Such a file cannot lose one record; it goes as a whole.
"""

from __future__ import annotations

import gzip
import re
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

import duckdb

from warehouse.home import Home

_LOOKED_INTO = 1 << 28  # bytes, unpacked


def mentions(text: str, values: Collection[str]) -> bool:
    """Whether one of the values stands in the text as a word of its own."""
    return any(re.search(rf"(?<![\w.-]){re.escape(value)}(?![\w.-])", text) for value in values)


def refused_whole(
    connection: duckdb.DuckDBPyConnection, home: Home, clinic: str, values: Collection[str], chosen: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Batches refused whole that hold one of the values or are ``chosen``, and those that nobody can tell of."""
    batches = connection.execute(
        "SELECT batch_id, sha256 FROM intake_file ANTI JOIN intake_raw USING (batch_id) "
        "SEMI JOIN intake_ledger USING (batch_id) WHERE clinic IN (?, '') ORDER BY batch_id",
        [clinic],
    ).fetchall()
    holding, unclear = [], []
    for batch_id, sha256 in batches:
        file = home.archive / sha256
        if not file.is_file():
            continue
        says = True if batch_id in chosen else _file_mentions(file, values)
        if says:
            holding.append(batch_id)
        elif says is None:
            unclear.append(batch_id)
    return tuple(holding), tuple(unclear)


def _file_mentions(file: Path, values: Collection[str]) -> bool | None:
    """Whether a file that no reader takes holds one of the values as text; None where it cannot be told."""
    if not values:
        return False
    unreadable = False
    try:
        for content in _contents(file):
            if content is None:
                unreadable = True
            elif any(mentions(text, values) for text in _as_text(content)):
                return True
    except (OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        unreadable = True
    return None if unreadable else False


def _contents(file: Path) -> Iterator[bytes | None]:
    """The bytes of the file, unpacked once; None for what is too large or is not text."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as parts:
            for part in parts.infolist():
                if part.file_size > _LOOKED_INTO:
                    yield None
                    continue
                with parts.open(part) as content:
                    yield content.read(_LOOKED_INTO)
        return
    with file.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    with gzip.open(file) if packed else file.open("rb") as content:
        read = content.read(_LOOKED_INTO + 1)
    is_text = len(read) <= _LOOKED_INTO and not read.startswith(b"PAR1")
    yield read if is_text and (b"\0" not in read or read[:2] in (b"\xff\xfe", b"\xfe\xff")) else None


def _as_text(content: bytes) -> Iterator[str]:
    yield content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace")
