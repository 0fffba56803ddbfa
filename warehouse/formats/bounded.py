"""A bound on the text that a file unfolds to, whatever its format.

Belongs here: counting the texts of the blocks that a reader gives. Does not belong here: sizes that a format can be
judged by before it is read (``unpacked``, ``workbook_parts``, ``parquet``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import polars as pl

from schemas.file_limits import file_limits
from schemas.problems import FileRefused
from warehouse.formats.block import Block, Header, Source

_SIGNS_OF_A_MEMBER = 6  # quotation marks, colon, comma and blanks around a name in a text that a reader writes as JSON


@dataclass(frozen=True, slots=True)
class Bounded:
    """A Source that refuses the file once the texts of its records are too large; ``file_bytes``: the file as sent.

    A value stands once in a Parquet file or a workbook and may be repeated in every record. The cells of a record are
    part of its text, so that the texts alone are counted.
    """

    source: Source
    file_bytes: int

    @property
    def header(self) -> Header:
        """The header of the file."""
        return self.source.header

    def blocks(self, wanted: Collection[str]) -> Iterator[Block]:
        """The same blocks. Raises FileRefused (too_large, packed_too_tightly) before the one that is too much.

        Column names are counted for ``too_large`` only: a table of blanks and noes packs to almost nothing, while the
        text of each of its records names every column.
        """
        limits = file_limits()
        most = max(limits["unfolded_bytes"], limits["compression_ratio"] * self.file_bytes)
        names = self._bytes_of_names()
        texts = values = 0
        for block in self.source.blocks(wanted):
            sizes = block.texts.str.len_bytes().cast(pl.Int64)
            texts += int(sizes.sum())
            values += int((sizes - names).clip(0).sum())
            if texts > limits["file_bytes"]:
                raise FileRefused("too_large")
            if values > most:
                raise FileRefused("packed_too_tightly")
            yield block

    def _bytes_of_names(self) -> int:
        if self.header.format == "csv":
            return 0
        return len(self.header.text.encode("utf-8", "replace")) + _SIGNS_OF_A_MEMBER * len(self.header.columns)
