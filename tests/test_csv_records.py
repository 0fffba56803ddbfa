"""From bytes to records: nothing joined, padded, shifted or lost, whatever the quotation marks and line ends do."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.problems import FileRefused
from warehouse import csv_records

HEADER = "record_id,clinic_id,submitted_at,notes"
ROW = "r{},north,2026-10-31T09:30:00Z,{}"


def read(path: Path) -> tuple[list[str], pl.DataFrame, dict[int, str]]:
    """Texts in order, cells with their record numbers, and broken records by number."""
    texts, cells, broken = [], [], {}
    for part in csv_records.read(path, clinic_known=False):
        if isinstance(part, csv_records.Block):
            texts += part.texts.to_list()
            cells.append(part.cells.with_columns(part.numbers.gather(part.cells["row"]).alias("number")))
            broken |= {int(part.numbers[row]): code for row, code in part.broken.rows()}
    frame = pl.concat(cells) if cells else pl.DataFrame(schema={"record_id": pl.String, "number": pl.Int64})
    return texts, frame, broken


def file_of(*rows: str, end: str = "\n") -> str:
    return end.join([HEADER, *rows]) + end


GOOD = {
    "line feeds": file_of(ROW.format(1, "a"), ROW.format(2, "b")),
    "carriage returns": file_of(ROW.format(1, "a"), ROW.format(2, "b"), end="\r\n"),
    "no end": file_of(ROW.format(1, "a"), ROW.format(2, "b")).rstrip("\n"),
    "byte order mark": "﻿" + file_of(ROW.format(1, "a"), ROW.format(2, "b")),
    "blank lines": file_of("", ROW.format(1, "a"), "", ROW.format(2, "b"), ""),
    "quoted": file_of(ROW.format(1, '"a"'), ROW.format(2, '"b"')),
    "mark inside": file_of(ROW.format(1, "a"), ROW.format(2, "b")),
}


@pytest.mark.parametrize("kind", GOOD)
def test_well_formed_files_give_the_same_cells(kind: str, csv_file: Callable[..., Path]) -> None:
    _, cells, broken = read(csv_file(GOOD[kind]))
    assert broken == {}
    assert cells.select("number", "record_id", "notes").rows() == [(1, "r1", "a"), (2, "r2", "b")]


BROKEN = {
    "short row": ([ROW.format(1, "a"), "r2,north", ROW.format(3, "c")], {2: "cell_count"}),
    "long row": ([ROW.format(1, "a"), ROW.format(2, "b,c"), ROW.format(3, "c")], {2: "cell_count"}),
    "open mark": ([ROW.format(1, "a"), ROW.format(2, '"b'), ROW.format(3, "c")], {2: "unclosed_quote"}),
    "open mark, later mark": (
        [ROW.format(1, "a"), ROW.format(2, '"b'), ROW.format(3, 'a 5" lump')],
        {2: "unclosed_quote"},
    ),
    "text after mark": ([ROW.format(1, "a"), ROW.format(2, '"b" c'), ROW.format(3, "c")], {2: "unclosed_quote"}),
    "lone carriage return": ([ROW.format(1, "a"), ROW.format(2, "b\rc"), ROW.format(3, "c")], {2: "cell_count"}),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_record_is_named_and_its_neighbours_are_kept(kind: str, csv_file: Callable[..., Path]) -> None:
    rows, expected = BROKEN[kind]
    texts, cells, broken = read(csv_file(file_of(*rows)))
    assert broken == expected
    assert texts == rows
    assert cells["number"].to_list() == [1, 3]
    assert cells["record_id"].to_list() == ["r1", "r3"]


def test_a_quoted_line_break_stays_in_its_record(csv_file: Callable[..., Path]) -> None:
    texts, cells, broken = read(csv_file(file_of(ROW.format(1, '"two\nlines, ""so"""'), ROW.format(2, "b"))))
    assert broken == {}
    assert cells["notes"].to_list() == ['two\nlines, "so"', "b"]
    assert texts[0] == ROW.format(1, '"two\nlines, ""so"""')


REFUSED = {
    "empty_file": b"",
    "no_header": b"a,b\n1,2\n",
    "duplicate_column": b"record_id,clinic_id,submitted_at,notes,notes\n",
    "missing_column": b"record_id,clinic_id,notes\n",
    "unreadable_encoding": HEADER.encode() + b"\nr1,north,2026-10-31T09:30:00Z,caf\xe9\n",
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_file_that_cannot_be_taken_in_is_refused_with_a_code(code: str, csv_file: Callable[..., Path]) -> None:
    with pytest.raises(FileRefused) as refused:
        read(csv_file(REFUSED[code]))
    assert refused.value.code == code
    assert "caf" not in str(refused.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    notes=st.lists(
        st.text(st.characters(exclude_characters="\r\x00", exclude_categories=["Cs"]), max_size=12), max_size=8
    ),
    block=st.integers(1, 200),
)
def test_what_a_csv_writer_wrote_is_read_back_in_blocks_of_any_size(
    notes: list[str], block: int, csv_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_records, "BLOCK_BYTES", len(HEADER) + 2 + block)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER.split(","))
    for number, note in enumerate(notes, start=1):
        writer.writerow([f"r{number}", "north", "2026-10-31T09:30:00Z", note])
    _, cells, broken = read(csv_file(text.getvalue()))
    assert broken == {}
    assert (cells["notes"].to_list() if notes else []) == notes
    assert cells["number"].to_list() == list(range(1, len(notes) + 1))
