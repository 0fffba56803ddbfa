"""Parquet: typed columns come back as text by the rules of all formats, and a file that lies is refused."""

from __future__ import annotations

import io
import json
import random
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.file_limits import file_limits
from schemas.problems import problems
from tests.source_records import read, refusal
from warehouse.formats import parquet
from warehouse.formats.block import SEVERAL
from warehouse.formats.parquet import open_parquet
from warehouse.formats.rendering import plain_number


def written(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def one(array: pa.Array) -> list[str | None]:
    """The cells of a file with this one column."""
    found = read(open_parquet, written(pa.table({"a": array})))
    assert found.broken == {}
    return [record.get("a") for record in found.records]


def raw_text(*values: bytes, kind: pa.DataType | None = None) -> pa.Array:
    """A column that says it is text and holds these bytes."""
    array = pa.array(values, pa.binary())
    return pa.Array.from_buffers(kind or pa.string(), len(values), array.buffers())


def test_a_table_is_read() -> None:
    table = pa.table({"record_id": ["r1", "r2"], "age_years": pa.array([24, None], pa.int32())})
    found = read(open_parquet, written(table))
    assert found.columns == ("record_id", "age_years")
    assert found.records == [{"record_id": "r1", "age_years": "24"}, {"record_id": "r2"}]
    assert [json.loads(text) for text in found.texts] == found.records


LATE = 2**62
MOMENT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
COLUMNS: dict[str, tuple[pa.Array, list[str | None]]] = {
    "whole numbers": (pa.array([0, -3, None, 2**62]), ["0", "-3", None, str(2**62)]),
    "whole numbers without sign": (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
    "floats": (
        pa.array([41.0, 5.5, -0.0, 0.1, 1e-7, 1e22, 1e300, float("nan"), float("inf"), None]),
        ["41", "5.5", "0", "0.1", "0.0000001", "1" + "0" * 22, "1e+300", "NaN", "inf", None],
    ),
    "floats of four bytes": (pa.array([0.1, 41, 1e10], pa.float32()), ["0.1", "41", "10000000000"]),
    "decimals": (
        pa.array([Decimal("1.50"), Decimal("2.00"), Decimal("-0.01"), Decimal("0.00"), None]),
        ["1.5", "2", "-0.01", "0", None],
    ),
    "small decimals": (pa.array([Decimal("0.0000000001"), Decimal("100.0000000000")]), ["0.0000000001", "100"]),
    "whole decimals": (pa.array([Decimal("100"), Decimal("7")], pa.decimal128(5, 0)), ["100", "7"]),
    "yes and no": (pa.array([True, False, None]), ["true", "false", None]),
    "text": (pa.array(["007", "", None, 'é"\\\n', "a\0b"]), ["007", "", None, 'é"\\\n', "a\0b"]),
    "categories": (pa.array(["left", None, "left"]).dictionary_encode(), ["left", None, "left"]),
    "bytes that are text": (pa.array([b"left", None]), ["left", None]),
    "dates": (pa.array([date(2026, 1, 31), None]), ["2026-01-31", None]),
    "no date": (pa.array([2**31 - 1], pa.date32()), [f"<value out of range: {2**31 - 1}>"]),
    "times with zone": (
        pa.array([MOMENT, MOMENT.replace(microsecond=500), None], pa.timestamp("us", tz="Europe/Berlin")),
        ["2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000500Z", None],
    ),
    "times with a zone that is none": (pa.array([0], pa.timestamp("ms", tz="Mars/Base")), ["1970-01-01T00:00:00Z"]),
    "times without zone": (pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("us")), ["2026-01-31T09:30:00"]),
    "times in nanoseconds": (
        pa.array([0, 1500, 1], pa.timestamp("ns")),
        ["1970-01-01T00:00:00", "1970-01-01T00:00:00.000001500", "1970-01-01T00:00:00.000000001"],
    ),
    "no time": (pa.array([LATE, -LATE], pa.timestamp("us")), [f"<value out of range: {n}>" for n in (LATE, -LATE)]),
    "year 0": (pa.array([-62_167_219_200_000_001], pa.timestamp("us")), ["-0001-12-31 23:59:59.999999"]),
    "times of day": (pa.array([time(9, 30), time(9, 30, 0, 5)]), ["09:30:00", "09:30:00.000005"]),
    "lists": (
        pa.array([["a", "b"], [], None, ["c"], ["d", None]]),
        [f"a{SEVERAL}b", "", None, "c", '["d", null]'],
    ),
    "lists of numbers": (pa.array([[1.0, 2.5], [3.0]]), [f"1{SEVERAL}2.5", "3"]),
    "lists of fixed size": (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), [f"1{SEVERAL}2", None]),
    "lists of lists": (pa.array([[["a"]], None]), ['[["a"]]', None]),
    "structs": (pa.array([{"x": 1, "y": "é"}, None]), ['{"x": 1, "y": "é"}', None]),
    "maps": (pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int8())), ['[["k", 1]]', None]),
    "nothing": (pa.nulls(2), [None, None]),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_is_given_as_text(kind: str) -> None:
    array, expected = COLUMNS[kind]
    assert one(array) == expected


BROKEN: dict[str, tuple[pa.Array, str]] = {
    "bytes that are no text": (pa.array([b"a", b"\xff", b"b"]), "bad_bytes"),
    "text that is none": (raw_text(b"a", b"\xff", b"b"), "bad_bytes"),
    "our sign between answers": (pa.array(["a", f"x{SEVERAL}y", "b"]), "bad_bytes"),
    "our sign in a list": (pa.array([["a"], ["x", f"y{SEVERAL}z"], ["b"]]), "bad_bytes"),
    "a time inside a list that is no time": (
        pa.array([[{"t": 0}], [{"t": LATE}], [{"t": 1}]], pa.list_(pa.struct({"t": pa.timestamp("us")}))),
        "bad_bytes",
    ),
    "a record too long": (pa.array(["a", "x" * (file_limits()["record_bytes"] + 1), "b"]), "too_long"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_unreadable_value_breaks_its_record_only(kind: str) -> None:
    array, code = BROKEN[kind]
    found = read(open_parquet, written(pa.table({"record_id": ["r1", "r2", "r3"], "a": array})), ["record_id"])
    assert found.broken == {2: code}
    assert found.records == [{"record_id": "r1"}, {"record_id": "r3"}]


def test_only_wanted_columns_are_given_and_the_text_holds_all() -> None:
    content = written(pa.table({"row": [1], "b": [2], "c": [None]}))
    found = read(open_parquet, content, ["b", "row"])
    assert (found.columns, found.records, found.texts) == (("b", "c"), [{"b": "2"}], ['{"row": "1", "b": "2"}'])


def nested(levels: int) -> pa.Array:
    array = pa.array([1])
    for _ in range(levels):
        array = pa.StructArray.from_arrays([array], ["x"])
    return array


def with_two_columns_of_a_name() -> bytes:
    return written(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["age_years", "age_years"]))


REFUSED: dict[str, tuple[bytes, str]] = {
    "no Parquet": (b"PARE" + b"\0" * 20, "not_a_known_format"),
    "no bytes": (b"", "not_a_known_format"),
    "only its sign": (b"PAR1", "broken_file"),
    "no metadata": (b"PAR1" + b"\0" * 40 + b"PAR1", "broken_file"),
    "metadata said to be larger than the file": (b"PAR1" + b"\0" * 8 + b"\xff\xff\xff\x7fPAR1", "broken_file"),
    "cut short": (written(pa.table({"a": [1, 2]}))[:-3], "broken_file"),
    "a name twice": (with_two_columns_of_a_name(), "duplicate_column"),
    "too many columns": (written(pa.table({f"c{n}": [1] for n in range(5001)})), "too_many_columns"),
    "nested too deep": (written(pa.table({"a": nested(40)})), "nested_too_deep"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_cannot_be_taken_is_refused_with_a_code(kind: str) -> None:
    content, code = REFUSED[kind]
    assert refusal(open_parquet, content) == code
    assert problems()[code].severity == "refuse"


def test_rows_that_take_no_room_in_the_file_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = written(pa.table({"a": pa.array([1] * 5000), "b": pa.nulls(5000)}))
    limits = {**file_limits(), "file_bytes": 9999}
    monkeypatch.setattr(parquet, "file_limits", lambda: limits)
    assert len(content) < 9999
    assert refusal(open_parquet, content) == "too_large"
    limits["file_bytes"] = 100_000
    assert refusal(open_parquet, content) == ""


def test_blocks_are_bounded_by_records_and_by_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BLOCK_RECORDS", 10)
    monkeypatch.setattr(parquet, "BLOCK_CHARACTERS", 2000)
    assert read(open_parquet, written(pa.table({"a": list(range(25))}))).sizes == [10, 10, 5]
    repeated = pa.table({"a": ["x" * 900] * 8, "b": list(range(8))})
    found = read(open_parquet, written(repeated))
    assert len(written(repeated)) < 8 * 900
    assert found.sizes == [2, 2, 2, 2]
    assert [record["b"] for record in found.records] == [str(number) for number in range(8)]


def test_row_groups_and_their_batches_keep_the_order() -> None:
    table = pa.table({"n": list(range(1000)), "s": [f"s{number % 7}" for number in range(1000)]})
    found = read(open_parquet, written(table, row_group_size=33))
    assert [record["n"] for record in found.records] == [str(number) for number in range(1000)]
    assert [record["s"] for record in found.records] == table["s"].to_pylist()


def test_a_changed_byte_of_a_page_with_a_checksum_is_noticed() -> None:
    table = pa.table({"a": [f"answer {number}" for number in range(50)]})
    content = written(table, write_page_checksum=True, compression="none", use_dictionary=False)
    place = content.index(b"answer 17")
    assert refusal(open_parquet, content) == ""
    assert refusal(open_parquet, content[:place] + b"b" + content[place + 1 :]) == "broken_file"


texts = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters=SEVERAL), max_size=12)
rows = st.tuples(
    texts,
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.booleans(),
    st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),
    st.none() | st.lists(st.sampled_from(["left", "right"]), max_size=3),
)
KINDS = [pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.timestamp("us", tz="UTC"), pa.list_(pa.string())]


def as_text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return plain_number(repr(value))
        case datetime():
            return value.isoformat() + "Z"
        case list():
            return SEVERAL.join(value)
        case _:
            return str(value)


@given(st.lists(rows, max_size=12))
@settings(max_examples=40, deadline=None)
def test_written_rows_come_back_equal(made: list[tuple[object, ...]]) -> None:
    names = [f"c{number}" for number in range(len(KINDS))]
    columns = [pa.array([row[place] for row in made], kind) for place, kind in enumerate(KINDS)]
    found = read(open_parquet, written(pa.Table.from_arrays(columns, names)))
    expected = [{n: as_text(v) for n, v in zip(names, row, strict=True) if v is not None} for row in made]
    for record, wanted in zip(found.records, expected, strict=True):
        number, same = record.pop("c2", None), wanted.pop("c2", None)
        assert record == wanted
        assert (number is None) == (same is None)
        assert number is None or same is None or float(number) == float(same)
    assert found.broken == {}
    assert [json.loads(text).keys() for text in found.texts] == [
        {n for n, v in zip(names, row, strict=True) if v is not None} for row in made
    ]


@given(st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_damaged_bytes_give_a_refusal_or_records(seed: int) -> None:
    chance = random.Random(seed)
    table = pa.table(
        {"a": ["left", None, "right"], "n": [1, 2, 3], "l": [["x"], [], None], "t": [MOMENT, None, MOMENT]}
    )
    content = bytearray(written(table, compression=chance.choice(["none", "snappy", "zstd"])))
    for _ in range(chance.randint(1, 4)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    assert refusal(open_parquet, bytes(content)) in {"", *problems()}
