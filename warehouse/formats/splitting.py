"""Where a record of a CSV file ends, and its cells one by one, whatever the quotation marks and line ends do.

Belongs here: the grammar of one record, and records out of pieces of text. Does not belong here: encodings
(``warehouse.formats.encoding``), the header and blocks (``warehouse.formats.delimited``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain

LINE_BYTES = 16 << 20  # of a longer line no more than this is kept as the record's text, so that memory stays flat


@dataclass(frozen=True, slots=True)
class Dialect:
    """The sign between cells and the sign that ends a line, with the patterns of a record and of a cell.

    A quoted cell ends with its quotation mark: text after it would let a stray mark join two records unnoticed.
    """

    delimiter: bytes
    line_end: bytes
    record: re.Pattern[bytes]
    cell: re.Pattern[bytes]

    def split(self, line: bytes) -> list[bytes] | None:
        """The cells of one record without its line end; None if it is not one well-formed record."""
        cells: list[bytes] = []
        position = 0
        while match := self.cell.match(line, position):
            quoted, bare = match.groups()
            cells.append(bare if quoted is None else quoted.replace(b'""', b'"'))
            position = match.end() + 1
            if match.end() == len(line):
                return cells
            if line[match.end() : position] != self.delimiter:
                return None
        return None


@dataclass(frozen=True, slots=True)
class Records:
    """Some records in order, without line ends, and the code of those that are broken by their place."""

    lines: list[bytes]
    broken: dict[int, str]


@cache
def dialect(delimiter: bytes, line_end: bytes) -> Dialect:
    """The dialect of these two signs; a line that ends with a line feed may have carriage returns before it."""
    sign, end = re.escape(delimiter), re.escape(line_end)
    bare = rb'[^"%b\r\n][^%b\r\n]*+|' % (sign, sign)
    cell = rb'(?:"(?:[^"]++|"")*+"|%b)' % bare
    returns = rb"\r*+" if line_end == b"\n" else b""
    return Dialect(
        delimiter,
        line_end,
        record=re.compile(rb'[^"%b]*+%b|%b(?:%b%b)*+%b%b' % (end, end, cell, sign, cell, returns, end)),
        cell=re.compile(rb'"((?:[^"]++|"")*+)"|(%b)' % bare),
    )


def split_records(pieces: Iterable[bytes], dialect: Dialect, record_bytes: int) -> Iterator[Records]:
    """The records of a text that comes in pieces of any size, none of them empty; blank lines are no records.

    Broken are: a line longer than ``record_bytes`` (``too_long``), and a record whose quotation mark is out of place
    or open for more than ``record_bytes`` (``unclosed_quote``): it would swallow every later record, so that its first
    line is given and reading goes on with the next.
    """
    pending, skipping = b"", False
    for piece in chain(pieces, (b"",)):
        last = not piece
        if skipping:
            end = piece.find(dialect.line_end)
            if end < 0:
                continue
            piece, skipping = piece[end + 1 :], False
        text = pending + piece
        if last and text and not text.endswith(dialect.line_end):
            text += dialect.line_end
        records, pending = _take(text, dialect, record_bytes, last)
        if len(pending) > LINE_BYTES:
            records.broken[len(records.lines)] = "too_long"
            records.lines.append(pending[:LINE_BYTES])
            pending, skipping = b"", True
        if records.lines:
            yield records


def _take(text: bytes, dialect: Dialect, record_bytes: int, last: bool) -> tuple[Records, bytes]:
    """The whole records at the start of ``text``, and the rest."""
    if b'"' not in text:
        *lines, rest = text.split(dialect.line_end)
        if max(map(len, lines), default=0) < record_bytes:
            if b"\r" in text:
                lines = [line.rstrip(b"\r") for line in lines]
            return Records([line for line in lines if line], {}), rest
    lines, broken, position = [], {}, 0
    while position < len(text):
        match = dialect.record.match(text, position)
        code = None
        if match and match.end() - position <= record_bytes:
            end = match.end()
        elif not last and len(text) - position <= record_bytes:
            break
        else:
            end = text.find(dialect.line_end, position) + 1
            if end == 0:
                break
            code = "too_long" if end - position > record_bytes else "unclosed_quote"
        if line := text[position:end].rstrip(b"\r\n"):
            if code:
                broken[len(lines)] = code
            lines.append(line[:LINE_BYTES])
        position = end
    return Records(lines, broken), text[position:]
