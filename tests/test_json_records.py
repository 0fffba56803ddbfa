"""JSON and JSON lines: every object comes back as text, the exact number, and nothing broken spoils its neighbours."""

from __future__ import annotations

import json
import random
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.file_limits import file_limits
from schemas.problems import problems
from tests.source_records import read, refusal
from warehouse.formats import gathered
from warehouse.formats.block import SEVERAL
from warehouse.formats.json_records import open_json
from warehouse.formats.rendering import plain_number

TWO = [{"record_id": "r1", "age_years": 24}, {"record_id": "r2", "notes": "é\n"}]
AS_TEXT = [{"record_id": "r1", "age_years": "24"}, {"record_id": "r2", "notes": "é\n"}]
ARRAY = json.dumps(TWO, ensure_ascii=False)
LINES = "\n".join(json.dumps(record, ensure_ascii=False) for record in TWO)

SHAPES = {
    "array": ARRAY.encode(),
    "array over lines": json.dumps(TWO, indent=2).encode(),
    "lines": LINES.encode(),
    "lines with carriage returns, blank lines and an end": (LINES.replace("\n", "\r\n\r\n") + "\r\n").encode(),
    "byte order mark": "\ufeff".encode() + ARRAY.encode(),
    "lines with a byte order mark": "\ufeff".encode() + LINES.encode(),
    "utf-16": ARRAY.encode("utf-16"),
    "utf-16 lines": LINES.encode("utf-16"),
    "utf-16 without a mark": ARRAY.encode("utf-16-le"),
    "utf-32": ARRAY.encode("utf-32"),
    "in a member": json.dumps({"count": 2, "tags": ["a"], "records": TWO}).encode(),
    "in a member over lines": json.dumps({"records": TWO, "next": None}, indent=1).encode(),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_records(shape: str) -> None:
    found = read(open_json, SHAPES[shape])
    assert found.records == AS_TEXT
    assert found.columns == ("record_id", "age_years", "notes")
    assert [json.loads(text) for text in found.texts] == TWO
    assert found.broken == {}


CELLS = {
    '"left"': "left",
    '""': "",
    "null": None,
    "true": "true",
    "false": "false",
    "41": "41",
    "41.0": "41",
    "-0": "0",
    "-0.0": "0",
    "1.50": "1.5",
    "1e2": "100",
    "5.5": "5.5",
    "37.04": "37.04",
    "0.1000000000000000055": "0.1000000000000000055",
    "12345678901234567890123": "12345678901234567890123",
    "1e-7": "0.0000001",
    "1e400": "1e400",
    "1e-400": "1e-400",
    "1e99999999999999999999": "1e99999999999999999999",
    "NaN": "NaN",
    "-Infinity": "-Infinity",
    '"007"': "007",
    '["left", "right"]': f"left{SEVERAL}right",
    "[1, 2.0, true]": f"1{SEVERAL}2{SEVERAL}true",
    "[]": "",
    '["a", null]': '["a", null]',
    '[["a"]]': '[["a"]]',
    '{"a": [1.50, "x", null, true]}': '{"a": [1.5, "x", null, true]}',
    '"\\ud83c\\udfc3"': "\U0001f3c3",
    '"a\\u0000b"': "a\0b",
}


@pytest.mark.parametrize("value", CELLS)
def test_a_value_is_given_as_its_text(value: str) -> None:
    found = read(open_json, f'[{{"record_id": {value}}}]'.encode())
    assert found.cells == {1: {} if CELLS[value] is None else {"record_id": CELLS[value]}}


BROKEN_RECORDS = {
    "cut short": ('{"record_id": "r', "bad_json"),
    "no object": ("[1, 2]", "bad_json"),
    "a number": ("5", "bad_json"),
    "two objects": ('{"a": 1} {"a": 2}', "bad_json"),
    "a key twice": ('{"record_id": "x", "record_id": "y"}', "repeated_key"),
    "a key twice inside": ('{"record_id": {"a": 1, "a": 1}}', "repeated_key"),
    "half a surrogate pair": ('{"record_id": "\\ud800"}', "bad_bytes"),
    "two halves in two cells": ('{"record_id": "\\ud83c", "notes": "\\udfc3"}', "bad_bytes"),
    "half a surrogate pair in a name": ('{"\\udc00": 1}', "bad_bytes"),
    "our sign between answers": ('{"record_id": "a\\u001fb"}', "bad_json"),
    "a raw control sign": ('{"record_id": "a\tb"}', "bad_json"),
    "nested too deep": ('{"record_id": ' + "[" * 40 + "]" * 40 + "}", "bad_json"),
    "nested beyond any parser": ('{"record_id": ' + "[" * 100_000 + "}", "bad_json"),
    "too long": (json.dumps({"notes": "x" * file_limits()["record_bytes"]}), "too_long"),
}


@pytest.mark.parametrize(
    ("kind", "place"),
    # A first line that is no object makes the file an array or a plain value, and what follows it is too much.
    [(kind, place) for kind, (line, _) in BROKEN_RECORDS.items() for place in range(3) if place or line[0] == "{"],
)
def test_a_broken_line_is_one_broken_record(kind: str, place: int) -> None:
    line, code = BROKEN_RECORDS[kind]
    lines = [json.dumps(record) for record in TWO]
    lines.insert(place, line)
    found = read(open_json, "\n".join(lines).encode())
    assert found.broken == {place + 1: code}
    assert found.records == AS_TEXT
    assert line.startswith(found.texts[place])


@pytest.mark.parametrize("kind", [k for k, (_, code) in BROKEN_RECORDS.items() if code != "bad_json"])
def test_an_unreadable_item_of_an_array_is_one_broken_record(kind: str) -> None:
    item, code = BROKEN_RECORDS[kind]
    found = read(open_json, f'[{{"record_id": 1}}, {item}, {{"record_id": 3}}]'.encode())
    assert (found.records, found.broken) == ([{"record_id": "1"}, {"record_id": "3"}], {2: code})


def test_bytes_that_are_no_text_break_their_record_only_and_are_shown() -> None:
    for content in (b'[{"a": "1"}, {"a": "\xff"}]', b'{"a": "1"}\n{"a": "\xff"}\n'):
        found = read(open_json, content)
        assert (found.records, found.broken) == ([{"a": "1"}], {2: "bad_bytes"})
        assert found.texts[1] == '{"a": "\\xff"}'


REFUSED = {
    "no bytes": (b"", "empty_file"),
    "white space": (b" \n\t", "empty_file"),
    "a number": (b"42", "not_a_known_format"),
    "a string": (b'"x"', "not_a_known_format"),
    "array cut short": (b'[{"a": 1}, {"a"', "broken_file"),
    "array never closed": (b'[{"a": 1}, {"a": 2}', "broken_file"),
    "array and more": (b'[{"a": 1}] {"a": 2}', "broken_file"),
    "array and a stray byte": (b'[{"a": 1}]\xc3', "broken_file"),
    "array with a spare comma": (b'[{"a": 1},]', "broken_file"),
    "array with a comment": (b'[/* x */ {"a": 1}]', "broken_file"),
    "array of unclosed arrays": (b"[" * 100_000, "nested_too_deep"),
    "objects never closed": (b'{"a":' * 100_000, "broken_file"),
    "records never closed": (json.dumps({"records": TWO}, indent=1).encode()[:-3], "broken_file"),
    "records cut short": (b'{"records": [\n{"a": 1},\n{"a": 2},\n{"a"', "broken_file"),
    "utf-16 cut in a sign": (ARRAY.encode("utf-16")[:-1], "broken_file"),
    "one record, a name twice": (b'{"record_id": "r1", "record_id": "r2"}', "repeated_key"),
    "one record, too deep": (b'{"record_id": ' + b"[" * 40 + b"]" * 40 + b"}", "bad_json"),
    "too many columns": (json.dumps([{f"c{n}": 1 for n in range(5001)}]).encode(), "too_many_columns"),
    "too many columns over records": (
        "\n".join(json.dumps({f"c{n}": 1}) for n in range(5001)).encode(),
        "too_many_columns",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_cannot_be_taken_is_refused_with_a_code(kind: str) -> None:
    content, code = REFUSED[kind]
    assert refusal(open_json, content) == code
    assert problems()[code].severity in ("refuse", "reject")


def test_an_object_of_the_form_is_a_record_even_when_it_holds_objects() -> None:
    found = read(open_json, b'{"record_id": "r1", "visits": [{"day": 1}]}')
    assert found.records == [{"record_id": "r1", "visits": '[{"day": 1}]'}]


def test_an_object_with_several_arrays_of_objects_is_one_record() -> None:
    found = read(open_json, b'{"a": [{"x": 1}], "b": [{"x": 2}]}')
    assert found.records == [{"a": '[{"x": 1}]', "b": '[{"x": 2}]'}]


def test_only_wanted_columns_are_given_and_a_column_called_row_harms_nothing() -> None:
    found = read(open_json, b'[{"row": "x", "a": 1, "b": 2}]', ["b", "row"])
    assert found.records == [{"b": "2"}]
    assert found.texts == ['{"row": "x", "a": 1, "b": 2}']


def test_blocks_are_bounded_by_records_and_by_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered, "BLOCK_RECORDS", 10)
    monkeypatch.setattr(gathered, "BLOCK_CHARACTERS", 2000)
    small = json.dumps([{"n": n} for n in range(35)]).encode()
    assert read(open_json, small).sizes == [10, 10, 10, 5]
    large = json.dumps([{"n": "x" * 900} for _ in range(7)]).encode()
    assert read(open_json, large).sizes == [3, 3, 1]


def test_records_across_the_pieces_in_which_a_file_is_read() -> None:
    records = [{"n": str(n), "notes": "é\U0001f3c3" * (n % 300)} for n in range(4000)]
    for text in (json.dumps(records, ensure_ascii=False), "\n".join(json.dumps(record) for record in records)):
        assert read(open_json, text.encode()).records == records


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1000, max_value=1000)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters=SEVERAL), max_size=10)
)
records = st.lists(st.dictionaries(st.text("abcé _-", min_size=1, max_size=4), scalars, max_size=5), max_size=6)


def as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return plain_number(str(value)) if isinstance(value, int | Decimal) else str(value)


def as_json(value: object) -> str:
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


@given(records, st.booleans())
@settings(max_examples=60, deadline=None)
def test_written_records_come_back_equal(written: list[dict[str, object]], lines: bool) -> None:
    texts = [f"{{{', '.join(f'{json.dumps(k)}: {as_json(v)}' for k, v in record.items())}}}" for record in written]
    content = "\n".join(texts) if lines and written else f"[{', '.join(texts)}]"
    found = read(open_json, content.encode())
    expected = [{k: as_text(v) for k, v in record.items() if v is not None} for record in written]
    assert (found.records, found.broken, found.texts) == (expected, {}, texts)


@given(st.integers(0, 2**32))
@settings(max_examples=120, deadline=None)
@example(0)
def test_damaged_bytes_give_a_refusal_or_records(seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(SHAPES[chance.choice(list(SHAPES))])
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(content))
        content[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    assert refusal(open_json, bytes(content)) in {"", *problems()}


@given(st.decimals(allow_nan=False, allow_infinity=False))
@settings(max_examples=100)
def test_plain_digits_are_the_same_number(number: Decimal) -> None:
    plain = plain_number(str(number))
    assert Decimal(plain) == number
    assert "E" not in plain or abs(number.adjusted()) > 30
    assert not (plain.endswith("0") and "." in plain and "E" not in plain)
