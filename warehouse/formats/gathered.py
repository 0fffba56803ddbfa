"""Records that a format gives one at a time, gathered into blocks of bounded size.

Belongs here: from single records to ``Block``. Does not belong here: reading a format.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from schemas.file_limits import file_limits
from schemas.problems import FileRefused
from warehouse.formats.block import Block, Format, Header

BLOCK_RECORDS = 8192
BLOCK_CHARACTERS = 16 << 20
PLACE = "row"


class Record(NamedTuple):
    """One record: its original text, its cells by column, and the code of what is wrong with it ('' for nothing)."""

    text: str
    cells: Mapping[str, str | None]
    code: str = ""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A Source over ``records``, which gives all records of the file from the first on, each time it is called."""

    header: Header
    records: Callable[[], Iterator[Record]]

    def blocks(self, wanted: Collection[str]) -> Iterator[Block]:
        """The records in blocks of at most ``BLOCK_RECORDS``, with the wanted columns as cells."""
        columns = [column for column in self.header.columns if column in wanted]
        first, size = 1, 0
        gathered: list[Record] = []
        for record in self.records():
            gathered.append(record)
            size += len(record.text)
            if len(gathered) == BLOCK_RECORDS or size > BLOCK_CHARACTERS:
                yield block_of(gathered, columns, first)
                first, gathered, size = first + len(gathered), [], 0
        if gathered:
            yield block_of(gathered, columns, first)


def header_of(columns: Iterable[str], kind: Format, encoding: str = "utf-8") -> Header:
    """The header of a format that has no header line.

    A column called ``row`` cannot be asked for, because blocks have one of their own: it stays in the original text.
    """
    names = tuple(column for column in columns if column != PLACE)
    return Header(",".join(names), names, kind, encoding=encoding)


def block_of(records: Sequence[Record], columns: Sequence[str], first: int) -> Block:
    """``records`` as a block whose record numbers count from ``first``."""
    whole = [row for row, record in enumerate(records) if not record.code]
    broken = [(row, record.code) for row, record in enumerate(records) if record.code]
    cells: dict[str, list[str | None] | list[int]] = {
        column: [records[row].cells.get(column) for row in whole] for column in columns
    }
    return Block(
        numbers=pl.Series("record_number", range(first, first + len(records)), dtype=pl.Int64),
        texts=pl.Series("record_text", [record.text for record in records], dtype=pl.String),
        cells=pl.DataFrame(
            cells | {PLACE: whole},
            schema=dict[str, pl.DataType](dict.fromkeys(columns, pl.String())) | {PLACE: pl.UInt32()},
        ),
        broken=pl.DataFrame(broken, schema={PLACE: pl.UInt32, "code": pl.String}, orient="row"),
    )


def columns_seen(records: Iterable[Record], first: Iterable[str] = ()) -> tuple[str, ...]:
    """The columns of all well-formed records in order of first sight, after those of ``first``.

    Raises FileRefused (too_many_columns; the code of the first record where every record is broken).
    """
    limit = file_limits()["columns"]
    seen = dict.fromkeys(first)
    broken, whole = "", False
    for record in records:
        broken, whole = broken or record.code, whole or not record.code
        if not record.code and not record.cells.keys() <= seen.keys():
            seen |= dict.fromkeys(record.cells)
            if len(seen) > limit:
                raise FileRefused("too_many_columns")
    if broken and not whole:
        raise FileRefused(broken)
    return tuple(seen)
