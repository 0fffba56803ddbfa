"""An archived file without some of its records: the same header, the same texts of all others, in the same order.

Belongs here: writing such a file, and holding it against the old one. Does not belong here: which records
(``warehouse.withdrawing.withdrawal``), what becomes of the old file (``warehouse.withdrawing.erasure``).

A file is written anew from the original texts of its records, which CSV and JSON lines allow; it is then read back, and
unless it gives the same records it is not used: no record of somebody else is changed for the one that goes.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from schemas.problems import FileRefused
from warehouse.disk import sha256_of
from warehouse.formats.block import Block, Source
from warehouse.formats.recognise import opened_source
from warehouse.formats.unpacked import unpacked

_REWRITABLE = ("csv", "json", "fhir")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_LOOKED_AT = 1 << 16


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A new file beside the old one: where it lies, its SHA-256 and size, its header, and how many records remain."""

    file: Path
    sha256: str
    size_bytes: int
    header: str
    records: int


def without_records(old: Path, gone: Collection[int]) -> Rewritten | None:
    """Write the archived file ``old`` without the records of these numbers; None where its format does not allow it.

    The new file lies beside the old one under a name that ``archive.sweep`` removes; the caller gives it its own.
    """
    try:
        with opened_source(old) as source:
            if source.header.format not in _REWRITABLE:
                return None
            expected = _fingerprint(source, frozenset(gone))
        return _written(old, frozenset(gone), expected)
    except (FileRefused, UnicodeError):
        return None


@dataclass(frozen=True, slots=True)
class _Fingerprint:
    """What a rewritten file must give again: number of records, and a hash over their texts and what breaks them."""

    records: int
    texts: str
    broken: str


def _fingerprint(source: Source, gone: frozenset[int]) -> _Fingerprint:
    texts, broken = hashlib.sha256(), hashlib.sha256()
    records = 0
    for block, kept in _blocks(source, gone):
        numbers = pl.Series(range(records + 1, records + int(kept.sum()) + 1), dtype=pl.Int64)
        # the length goes first: no two lists of texts look the same
        for text in block.texts.filter(kept):
            texts.update(f"{len(text)}:{text}".encode("utf-8", "surrogatepass"))
        place = pl.DataFrame({"row": pl.Series(range(kept.len()), dtype=pl.UInt32).filter(kept), "number": numbers})
        for _, code, number in block.broken.join(place, on="row").sort("number").iter_rows():
            broken.update(f"{number}:{code};".encode())
        records += numbers.len()
    return _Fingerprint(records, texts.hexdigest(), broken.hexdigest())


def _blocks(source: Source, gone: frozenset[int]) -> Iterator[tuple[Block, pl.Series]]:
    for block in source.blocks(source.header.columns):
        yield block, ~block.numbers.is_in(pl.Series(sorted(gone), dtype=pl.Int64).implode())


def _written(old: Path, gone: frozenset[int], expected: _Fingerprint) -> Rewritten | None:
    with tempfile.NamedTemporaryFile(dir=old.parent, prefix="incoming-", delete=False) as file:
        new = Path(file.name)
        used = False
        try:
            with opened_source(old) as source:
                for piece in _pieces(old, source, gone):
                    file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            used = expected.records > 0 and _gives(new, expected)
        finally:
            if not used:
                new.unlink()
    if not used:
        return None
    new.chmod(0o400)
    with opened_source(new) as source:
        return Rewritten(new, sha256_of(new), new.stat().st_size, source.header.text, expected.records)


def _gives(new: Path, expected: _Fingerprint) -> bool:
    try:
        with opened_source(new) as source:
            return _fingerprint(source, frozenset()) == expected
    except FileRefused:
        return False


def _pieces(old: Path, source: Source, gone: frozenset[int]) -> Iterator[bytes]:
    """The bytes of the new file: in the encoding of the old one, with its byte order mark and line ends."""
    bom, encoding = _encoding(old, source)
    opening = _opening(old, len(bom), encoding)
    line_end = _line_end(opening)
    is_list = source.header.format != "csv" and opening.lstrip().startswith("[")
    between = f",{line_end}" if is_list else line_end
    yield bom
    if source.header.format == "csv":
        yield f"{source.header.text}{line_end}".encode(encoding)
    if is_list:
        yield f"[{line_end}".encode(encoding)
    first = True
    for block, kept in _blocks(source, gone):
        texts = block.texts.filter(kept)
        if texts.is_empty():
            continue
        yield ("" if first else between).encode(encoding) + between.join(texts).encode(encoding)
        first = False
    yield (f"{line_end}]{line_end}" if is_list else line_end).encode(encoding)


def _encoding(old: Path, source: Source) -> tuple[bytes, str]:
    with unpacked(old) as content:
        start = content.read(4)
    for bom, encoding in _BOMS:
        if start.startswith(bom):
            return bom, encoding
    return b"", source.header.encoding


def _opening(old: Path, start: int, encoding: str) -> str:
    with unpacked(old) as content:
        content.seek(start)
        return content.read(_LOOKED_AT).decode(encoding, "ignore")


def _line_end(opening: str) -> str:
    if "\n" not in opening and "\r" in opening:
        return "\r"
    return "\r\n" if "\r\n" in opening else "\n"
