"""What every reader gives, whatever the format: a header, then records in blocks of text columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import polars as pl

Format = Literal["csv", "workbook", "json", "parquet", "fhir"]

SEVERAL = "\x1f"  # between the answers of a cell that holds several (a list in JSON, boxes of a FHIR question)


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about its columns.

    ``text``: the original header line, or the column names joined by commas where the format has no such line.
    ``columns``: the file's own column names in order, each once. ``format``: the format as recognised by content.
    ``delimiter``: the sign between cells, for ``csv`` only, else ''. ``encoding``: how the text was read.
    """

    text: str
    columns: tuple[str, ...]
    format: Format
    delimiter: str = ""
    encoding: str = "utf-8"

    @property
    def typed(self) -> bool:
        """Whether the format has true and false of its own: they are given as the texts 'true' and 'false'."""
        return self.format != "csv"


@dataclass(frozen=True, slots=True)
class Block:
    """Some records of a file, in order.

    ``numbers``: record numbers, counted from 1 after the header (Int64). ``texts``: each record's original text.
    ``cells``: one text column for each wanted column of the file, and ``row`` (UInt32), the record's place in
    ``numbers``; one row for each well-formed record. A cell that the file leaves out is null. ``broken``: row (UInt32)
    and code of the records that are not well-formed. Each place in ``numbers`` is in exactly one of the two.
    """

    numbers: pl.Series
    texts: pl.Series
    cells: pl.DataFrame
    broken: pl.DataFrame


class Source(Protocol):
    """An opened file: its header, and its records as often as asked for."""

    @property
    def header(self) -> Header:
        """The header, read when the file was opened."""
        ...

    def blocks(self, wanted: Collection[str]) -> Iterator[Block]:
        """The records in blocks, with the ``wanted`` ones of the header's columns as cells, in the header's order."""
        ...
