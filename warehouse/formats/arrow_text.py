"""Arrow columns as text, whole columns at a time, by the rules of ``rendering``.

Belongs here: from a typed column to text cells. Does not belong here: reading Parquet. Arrow's own casts are used and
not those of polars, which stop the process at a date outside the calendar; Arrow gives it as a text saying so.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from warehouse.formats.block import SEVERAL
from warehouse.formats.rendering import plain_number


class TextColumn(NamedTuple):
    """A column as text, and where (true) a value is no text that a cell can hold."""

    text: pl.Series
    unreadable: pl.Series


def text_column(array: pa.Array) -> TextColumn:
    """Any column as text: plain values by their type, lists of plain values joined by ``SEVERAL``, others as JSON."""
    if isinstance(array, pa.ExtensionArray):
        return text_column(array.storage)
    kind = array.type
    if types.is_dictionary(kind):
        return text_column(array.dictionary_decode())
    if is_text(kind):
        return _strings(array)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _list(array)
    if types.is_nested(kind):
        return _one_by_one(array)
    return _readable(_plain(array))


def is_text(kind: pa.DataType) -> bool:
    """Whether the type holds strings or bytes."""
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )


def _readable(text: pl.Series) -> TextColumn:
    return TextColumn(text, pl.repeat(False, len(text), dtype=pl.Boolean, eager=True))


def _series(array: pa.Array) -> pl.Series:
    return pl.Series(values=array.cast(pa.large_string()), dtype=pl.String)


def _plain(array: pa.Array) -> pl.Series:
    kind = array.type
    text = pl.col("text")
    if types.is_timestamp(kind):
        cells = _series(array.view(pa.timestamp(kind.unit)))
        time = text.str.replace(" ", "T", literal=True)
        is_time = text.str.contains(r"^[0-9]{4}-.{14,}$")
        rendered = pl.when(is_time).then(_fraction(time) + ("Z" if kind.tz else "")).otherwise(text)
    elif types.is_time(kind):
        cells, rendered = _series(array), _fraction(text)
    elif types.is_floating(kind) or types.is_decimal(kind):
        cells = _written_out(_series(array))
        rendered = text.replace({"nan": "NaN", "-0": "0"})
    else:
        cells, rendered = _series(array), text
    return cells.to_frame("text").select(rendered).to_series()


def _fraction(time: pl.Expr) -> pl.Expr:
    """Without a fraction of zero, and without nanoseconds of zero; others are kept as they are."""
    return time.str.replace(r"\.0+$", "").str.replace(r"(\.[0-9]{6})000$", "${1}")


def _written_out(numbers: pl.Series) -> pl.Series:
    """Decimals without trailing zeros; numbers with an exponent, which are rare, in plain digits."""
    short = pl.when(pl.col("n").str.contains(r"^-?[0-9]+\.[0-9]+$")).then(
        pl.col("n").str.strip_chars_end("0").str.strip_chars_end(".")
    )
    cells = numbers.to_frame("n").select(short.otherwise(pl.col("n"))).to_series()
    scientific = cells.filter(cells.str.contains(r"[eE]").fill_null(False)).unique()
    if scientific.is_empty():
        return cells
    return cells.replace(scientific, pl.Series([plain_number(text) for text in scientific], dtype=pl.String))


def _strings(array: pa.Array) -> TextColumn:
    raw = array.cast(pa.large_binary())
    try:
        text = _series(raw)
        unreadable = pl.repeat(False, len(text), dtype=pl.Boolean, eager=True)
    except pa.ArrowInvalid:
        # Parquet promises UTF-8 and nobody checks it: the rare column that breaks the promise is looked at bytewise.
        values = raw.to_pylist()
        text = pl.Series([value and value.decode("utf-8", "backslashreplace") for value in values], dtype=pl.String)
        unreadable = pl.Series([bool(value) and not _is_utf8(value) for value in values], dtype=pl.Boolean)
    holds_our_sign = text.str.contains(SEVERAL, literal=True).fill_null(False)
    return TextColumn(text, unreadable | holds_our_sign)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _list(array: pa.Array) -> TextColumn:
    if types.is_nested(array.type.value_type):
        return _one_by_one(array)
    inner = text_column(array.flatten())
    several = (
        pl.DataFrame({"row": pl.Series(values=pc.list_parent_indices(array), dtype=pl.Int64), "text": inner.text})
        .with_columns(inner.unreadable.alias("unreadable"))
        .group_by("row", maintain_order=True)
        .agg(
            pl.col("text").str.join(SEVERAL), pl.col("unreadable").any(), pl.col("text").has_nulls().alias("with_gaps")
        )
    )
    rows = pl.DataFrame({"is_null": pl.Series(values=array.is_null(), dtype=pl.Boolean)}).with_row_index("row")
    joined = rows.with_columns(pl.col("row").cast(pl.Int64)).join(several, on="row", how="left", maintain_order="left")
    text = joined.select(pl.when(~pl.col("is_null")).then(pl.col("text").fill_null(""))).to_series()
    with_gaps = joined["with_gaps"].fill_null(False)
    if with_gaps.any():
        text = text.scatter(with_gaps.arg_true(), _one_by_one(array.filter(with_gaps.to_arrow())).text)
    return TextColumn(text, joined["unreadable"].fill_null(False))


def _one_by_one(array: pa.Array) -> TextColumn:
    """Values of nested columns as JSON: no question of the form is one, so they are kept, and refused if mapped."""
    text: list[str | None] = []
    unreadable: list[bool] = []
    for scalar in array:
        try:
            value = scalar.as_py()
            text.append(None if value is None else json.dumps(value, ensure_ascii=False, default=str))
            unreadable.append(False)
        except (ValueError, OverflowError, TypeError, RecursionError, pa.ArrowException):
            text.append(None)
            unreadable.append(True)
    return TextColumn(pl.Series(text, dtype=pl.String), pl.Series(unreadable, dtype=pl.Boolean))
