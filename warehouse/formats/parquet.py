"""Parquet: each row a record, read in batches and rendered column by column.

Belongs here: opening the file, what its metadata may claim, batches to blocks. Does not belong here: the text of a
typed column (``arrow_text``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from schemas.file_limits import file_limits
from schemas.form import questions
from schemas.problems import FileRefused
from warehouse.formats.arrow_text import TextColumn, is_text, text_column
from warehouse.formats.block import Block, Header, Source
from warehouse.formats.gathered import BLOCK_CHARACTERS, BLOCK_RECORDS, header_of

_MAGIC = b"PAR1"
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class _Parquet:
    """A Source over a Parquet file; ``texts`` are the columns of strings or bytes, read with each value held once."""

    header: Header
    file: BinaryIO
    texts: tuple[str, ...]

    def blocks(self, wanted: Collection[str]) -> Iterator[Block]:
        """The records in blocks, a batch of the file split further where its text is large."""
        columns = [column for column in self.header.columns if column in wanted]
        with _only_refusals():
            batches = _opened(self.file, self.texts).iter_batches(batch_size=BLOCK_RECORDS, use_threads=False)
        first = 1
        while True:
            with _only_refusals():
                batch = next(batches, None)
            if batch is None:
                return
            for piece in _pieces(batch):
                with _only_refusals():
                    block = _block(piece, columns, first)
                yield block
                first += piece.num_rows


def open_parquet(file: BinaryIO) -> Source:
    """A Parquet file with one column a question; the original text of a record is its non-null cells as JSON.

    ``file``: seekable. Raises FileRefused (not_a_known_format, broken_file, too_large, too_many_columns,
    duplicate_column, nested_too_deep).
    """
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise FileRefused("not_a_known_format")
    with _only_refusals():
        opened = _opened(file, ())
        schema = opened.schema_arrow
        _check_claims(opened.metadata)
    columns = tuple(schema.names)
    if len(columns) > file_limits()["columns"]:
        raise FileRefused("too_many_columns")
    if len(set(columns)) < len(columns):
        raise FileRefused(
            "duplicate_column", tuple(sorted({c for c in columns if columns.count(c) > 1 and c in questions()}))
        )
    if any(_depth(field.type) > file_limits()["nesting"] for field in schema):
        raise FileRefused("nested_too_deep")
    texts = tuple(field.name for field in schema if is_text(field.type) and not types.is_fixed_size_binary(field.type))
    return _Parquet(header_of(columns, "parquet"), file, texts)


@contextmanager
def _only_refusals() -> Iterator[None]:
    """Whatever Arrow makes of a damaged file becomes a refusal; its messages may hold cells, so none is kept."""
    try:
        yield
    except FileRefused:
        raise
    except Exception:
        raise FileRefused("broken_file") from None


def _opened(file: BinaryIO, texts: tuple[str, ...]) -> pq.ParquetFile:
    file.seek(0)
    return pq.ParquetFile(
        pa.PythonFile(file, mode="r"),
        read_dictionary=list(texts),
        buffer_size=_BUFFER,
        pre_buffer=False,
        page_checksum_verification=True,
    )


def _check_claims(metadata: pq.FileMetaData) -> None:
    """Refuse sizes that cannot be read, or that contradict each other, before anything is read for them."""
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    sizes = [metadata.num_rows, *(group.num_rows for group in groups), *(group.total_byte_size for group in groups)]
    if min(sizes) < 0 or sum(group.num_rows for group in groups) != metadata.num_rows:
        raise FileRefused("broken_file")
    # Repeated values take no room in the file, yet each cell of a table takes at least a sign.
    cells = metadata.num_rows * max(metadata.num_columns, 1)
    if max(cells, sum(group.total_byte_size for group in groups)) > file_limits()["file_bytes"]:
        raise FileRefused("too_large")


def _depth(kind: pa.DataType) -> int:
    level, depth = [kind], 0
    while level and depth <= file_limits()["nesting"]:
        level = [outer.field(place).type for outer in level for place in range(outer.num_fields)]
        depth += 1
    return depth


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces whose text, once written out, is of bounded size; a record is never split."""
    waiting = [batch]
    while waiting:
        piece = waiting.pop()
        if piece.num_rows > 1 and sum(map(_size, piece.columns)) > BLOCK_CHARACTERS:
            half = piece.num_rows // 2
            waiting += [piece.slice(half), piece.slice(0, half)]
        else:
            yield piece


def _size(column: pa.Array) -> int:
    if types.is_dictionary(column.type) and is_text(column.type.value_type):
        lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
        return int(pc.sum(lengths).as_py() or 0)
    return int(column.nbytes)


def _block(piece: pa.RecordBatch, columns: list[str], first: int) -> Block:
    rendered = dict(zip(piece.schema.names, map(text_column, piece.columns), strict=True))
    texts = _records_as_json(rendered, piece.num_rows)
    limit = file_limits()["record_bytes"]
    problems = (
        pl.DataFrame({"text": texts})
        .with_row_index("row")
        .select(
            pl.col("row").cast(pl.UInt32),
            pl.when(pl.col("text").str.len_bytes() > limit).then(pl.lit("too_long")).alias("code"),
        )
    )
    unreadable = pl.Series([False] * piece.num_rows, dtype=pl.Boolean)
    for column in rendered.values():
        unreadable |= column.unreadable
    problems = problems.with_columns(
        pl.when(unreadable).then(pl.lit("bad_bytes")).otherwise(pl.col("code")).alias("code")
    )
    whole = problems["code"].is_null()
    cells = pl.DataFrame([rendered[name].text.alias(name) for name in columns] + [problems["row"]])
    return Block(
        numbers=pl.Series("record_number", range(first, first + piece.num_rows), dtype=pl.Int64),
        texts=texts.str.slice(0, limit).alias("record_text"),
        cells=cells.filter(whole),
        broken=problems.filter(~whole),
    )


def _records_as_json(rendered: dict[str, TextColumn], rows: int) -> pl.Series:
    members = [
        (f"{json.dumps(name, ensure_ascii=False)}: " + _quoted(column.text)).alias(str(place))
        for place, (name, column) in enumerate(rendered.items())
        if column.text.null_count() < rows
    ]
    if not members:
        return pl.Series(["{}"] * rows, dtype=pl.String)
    joined = pl.concat_str(pl.all(), separator=", ", ignore_nulls=True)
    return pl.DataFrame(members).select(pl.lit("{") + joined + pl.lit("}")).to_series()


def _quoted(text: pl.Series) -> pl.Series:
    if text.str.contains(r'["\\\x00-\x1f]').any():
        member = text.to_frame("v").select(pl.struct("v").struct.json_encode()).to_series()
        quoted = member.str.slice(5).str.strip_suffix("}")
        return pl.DataFrame({"q": quoted, "v": text}).select(pl.when(pl.col("v").is_not_null()).then("q")).to_series()
    return '"' + text + '"'
