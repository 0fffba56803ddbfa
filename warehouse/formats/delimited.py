"""CSV in its dialects, from bytes to blocks of text cells under the file's own column names.

Belongs here: the header line, the sign between cells, the cells of well-formed records. Does not belong here: where a
record ends (``warehouse.formats.splitting``), which columns the form has or lacks (``schemas.mapping``), what a cell
may hold (``schemas.contract``). Nothing is padded, cast or guessed.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from schemas.file_limits import file_limits
from schemas.form import questions
from schemas.problems import FileRefused
from warehouse.formats.block import Block, Header
from warehouse.formats.encoding import PIECE_BYTES, Encoded, encoded, pieces
from warehouse.formats.splitting import Dialect, Records, dialect, split_records

BLOCK_BYTES = 8 << 20
DELIMITERS = (b",", b";", b"\t", b"|")
_MARK = b"\xef\xbb\xbf"
_PLACE = "row"  # a column of every block: a file's own column of that name is given as one without a name
_NAMED_DELIMITER = re.compile(rb'"?sep=([,;\t|])"?[\r\n]+', re.IGNORECASE)  # a line that Excel writes and reads


@dataclass(frozen=True, slots=True)
class Delimited:
    """An opened CSV file. ``start``: bytes of its text (as UTF-8) before the first record."""

    header: Header
    file: BinaryIO
    text: Encoded
    dialect: Dialect
    start: int

    def blocks(self, wanted: Collection[str]) -> Iterator[Block]:
        """The records in blocks, with the ``wanted`` ones of the header's columns as cells, in the header's order.

        Codes of records that are not well-formed: ``cell_count``; ``unclosed_quote``; ``bad_bytes``, with those bytes
        written out as ``\\xNN`` in the text; ``too_long``, longer than the limit ``record_bytes``, with the first
        16 MiB of the line as text. NUL, formulas and signs without width are text like any other.
        """
        columns = [column for column in self.header.columns if column in wanted]
        number = 1
        text = _after(pieces(self.file, self.text, BLOCK_BYTES), self.start)
        for records in split_records(text, self.dialect, file_limits()["record_bytes"]):
            yield self._block(records, number, columns)
            number += len(records.lines)

    def _block(self, records: Records, first: int, wanted: list[str]) -> Block:
        lines = records.lines
        texts, bad = _texts(lines, doubtful=self.text.doubtful)
        broken = dict.fromkeys(bad, "bad_bytes") | records.broken
        rows = [row for row in range(len(lines)) if row not in broken] if broken else list(range(len(lines)))
        cells, miscounted = self._cells(lines, rows, wanted)
        broken |= dict.fromkeys(miscounted, "cell_count")
        return Block(
            numbers=pl.Series("record_number", range(first, first + len(lines)), dtype=pl.Int64),
            texts=texts,
            cells=cells,
            broken=pl.DataFrame(sorted(broken.items()), schema={"row": pl.UInt32, "code": pl.String}, orient="row"),
        )

    def _cells(self, lines: list[bytes], rows: list[int], wanted: list[str]) -> tuple[pl.DataFrame, list[int]]:
        """Cells of the lines at these places, with their places; and the places of lines with a wrong count of cells.

        The fast reader takes a carriage return outside quotation marks for a line end. It can stand in lines without
        any mark only (``splitting``), and makes more than one row of them.
        """
        text = _joined(lines, rows)
        torn = [row for row in rows if b"\r" in lines[row] and b'"' not in lines[row]] if b"\r" in text else []
        if torn:
            rows = sorted(set(rows).difference(torn))
            text = _joined(lines, rows)
        if not rows:
            return pl.DataFrame(schema=dict.fromkeys(wanted, pl.String) | {_PLACE: pl.UInt32}), torn
        columns = self.header.columns
        miscounted: list[int] = []

        def skip(row: pacsv.InvalidRow) -> str:
            miscounted.append(row.number - 1)
            return "skip"

        table = pacsv.read_csv(
            io.BytesIO(text),
            read_options=pacsv.ReadOptions(column_names=columns, use_threads=False, block_size=len(text)),
            parse_options=pacsv.ParseOptions(
                delimiter=self.header.delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=False,
                include_columns=wanted or columns[:1],  # none would mean all
            ),
        )
        if table.num_rows + len(miscounted) != len(rows):
            raise RuntimeError("the reader of CSV saw other records than were given to it")
        wrong = set(miscounted)
        places = [row for place, row in enumerate(rows) if place not in wrong] if wrong else rows
        cells = pl.DataFrame(pl.from_arrow(table)).with_columns(pl.Series(_PLACE, places, dtype=pl.UInt32))
        # Taken by name one at a time: select would read a column called * or ^...$ as a pattern.
        return pl.DataFrame([cells.get_column(name) for name in (*wanted, _PLACE)]), [
            rows[place] for place in miscounted
        ] + torn


def open_csv(file: BinaryIO) -> Delimited:
    """An opened CSV file: comma, semicolon, tab or bar; any encoding of ``warehouse.formats.encoding``.

    The sign between cells is the one that the file names in a line ``sep=;``, else the one that gives the header line
    the most columns of the form, then the most columns. A column without a name is called ``column <n>``.
    Raises FileRefused (empty_file, too_many_columns, duplicate_column, unreadable_encoding; broken_file for a header
    line with a quotation mark or a line end out of place; not_a_known_format for one longer than any record).
    """
    text = encoded(file)
    opening, start = _opening(pieces(file, text, PIECE_BYTES), text.line_end)
    named = _NAMED_DELIMITER.match(opening)
    skipped = named.end() if named else 0
    line, cells, chosen = _header_line(
        opening[skipped:], [dialect(sign, text.line_end) for sign in (named.groups() if named else DELIMITERS)]
    )
    if text.doubtful and not line.isascii():
        raise FileRefused("unreadable_encoding")
    header = Header(
        text=line.rstrip(b"\r\n").decode(),
        columns=_names(cells),
        format="csv",
        delimiter=chosen.delimiter.decode(),
        encoding=text.encoding,
    )
    return Delimited(header, file, text, chosen, start + skipped + len(line))


def _opening(text: Iterable[bytes], line_end: bytes) -> tuple[bytes, int]:
    """The text from its first line that is not blank on, as far as a header may reach; and the bytes before it."""
    blank_lines = re.compile(rb"(?:[ \t\f\v%b]*+%b)*+" % (b"\r" if line_end == b"\n" else b"", line_end))
    opening, start = b"", 0
    for piece in text:
        opening += piece
        blank = blank_lines.match(opening)
        begin = blank.end() if blank else 0
        opening, start = opening[begin:], start + begin
        if len(opening) > file_limits()["record_bytes"]:
            if not opening.isspace():
                return opening, start
            opening, start = b"", start + len(opening)
    if not opening.strip():
        raise FileRefused("empty_file")
    return opening if opening.endswith(line_end) else opening + line_end, start


def _header_line(opening: bytes, dialects: list[Dialect]) -> tuple[bytes, list[str], Dialect]:
    """The header line with its end, its cells, and the dialect that suits it best."""
    limits = file_limits()
    if not opening:
        raise FileRefused("empty_file")
    best: tuple[tuple[int, int], bytes, list[str], Dialect] | None = None
    unread: list[Dialect] = []
    for candidate in dialects:
        match = candidate.record.match(opening)
        cells = candidate.split(match[0].rstrip(b"\r\n")) if match and match.end() <= limits["record_bytes"] else None
        if match is None or cells is None:
            unread.append(candidate)
            continue
        try:
            names = [cell.decode() for cell in cells]
        except UnicodeDecodeError:
            raise FileRefused("unreadable_encoding") from None
        worth = (sum(name.strip() in questions() for name in names), len(names))
        if best is None or worth > best[0]:
            best = (worth, match[0], names, candidate)
    line = opening.partition(dialects[0].line_end)[0]
    cuts = max((line.count(candidate.delimiter) for candidate in unread), default=0)
    if best and (len(best[2]) > 1 or not cuts):
        return best[1:]
    if cuts >= limits["columns"]:
        raise FileRefused("too_many_columns")
    raise FileRefused("broken_file" if len(line) < limits["record_bytes"] else "not_a_known_format")


def _names(cells: list[str]) -> tuple[str, ...]:
    if len(cells) > file_limits()["columns"]:
        raise FileRefused("too_many_columns")
    names = [cell.strip() for cell in cells]
    taken = Counter(name for name in names if name)
    twice = sorted(name for name, count in taken.items() if count > 1)
    if twice:
        raise FileRefused("duplicate_column", tuple(name for name in twice if name in questions()))
    for place, name in enumerate(names):
        if name in ("", _PLACE):
            unlabelled = f"column {place + 1}"
            while unlabelled in taken:
                unlabelled += "_"
            taken[unlabelled] = 1
            names[place] = unlabelled
    return tuple(names)


def _texts(lines: list[bytes], *, doubtful: bool) -> tuple[pl.Series, list[int]]:
    """The records as text, and the places of those that hold bytes that are no text."""
    bad = [row for row, line in enumerate(lines) if not line.isascii()] if doubtful else []
    try:
        texts = pa.array(lines, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        bad = bad or [row for row, line in enumerate(lines) if _is_bad(line)]
        texts = pa.array([line.decode(errors="backslashreplace") for line in lines], pa.string())
    return pl.Series("record_text", texts), bad


def _is_bad(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return True
    return False


def _joined(lines: list[bytes], rows: list[int]) -> bytes:
    """The lines as one text, behind a byte order mark: the fast reader drops one, which may be a record's own."""
    return _MARK + b"\n".join([lines[row] for row in rows]) + b"\n"


def _after(text: Iterable[bytes], start: int) -> Iterator[bytes]:
    for piece in text:
        if start < len(piece):
            yield piece[start:]
        start = max(0, start - len(piece))
