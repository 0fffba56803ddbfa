"""What a file is, by its content: the right reader, or a refusal with its code; and nothing left lying about."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.file_limits import file_limits
from schemas.form import form
from schemas.problems import FileRefused
from warehouse.formats import bounded, unpacked
from warehouse.formats.recognise import opened_source

CSV = b"record_id,clinic_id,submitted_at\nr1,north,2026-10-31T09:30:00Z\n"
RECORD = {"record_id": "r1", "clinic_id": "north", "submitted_at": "2026-10-31T09:30:00Z"}
RESPONSE = {
    "resourceType": "QuestionnaireResponse",
    "status": "completed",
    "item": [{"linkId": "record_id", "answer": [{"valueString": "r1"}]}],
}


def workbook() -> bytes:
    file, book = io.BytesIO(), openpyxl.Workbook()
    for row in (list(RECORD), list(RECORD.values())):
        book.worksheets[0].append(row)
    book.save(file)
    return file.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    pl.DataFrame([RECORD]).write_parquet(file)
    return file.getvalue()


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as parts:
        for name in names:
            parts.writestr(name, "x")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as parts:
        parts.addfile(tarfile.TarInfo("x.csv"), io.BytesIO())
    return file.getvalue()


LATE_MARK = json.dumps({"item": [{"linkId": f"q{n}", "text": "x" * 200} for n in range(300)], **RESPONSE})
KNOWN = {
    "csv": (CSV, "csv"),
    "csv of one column": (b"record_id\nr1\n", "csv"),
    "csv with a mark": (b"\xef\xbb\xbf" + CSV, "csv"),
    "csv in utf-16": (CSV.decode().encode("utf-16"), "csv"),
    "csv in utf-16 without mark": (CSV.decode().encode("utf-16-be"), "csv"),
    "csv after blank lines": (b"\n\n" + CSV, "csv"),
    "csv with a null further down": (CSV.replace(b"north", b"no\x00rth"), "csv"),
    "csv whose name is in brackets": (b"[record_id],notes\nr1,a\n", "csv"),
    "workbook": (workbook(), "workbook"),
    "parquet": (parquet(), "parquet"),
    "json": (json.dumps([RECORD]).encode(), "json"),
    "json after blanks": (b" \n " + json.dumps([RECORD]).encode(), "json"),
    "json, one record": (json.dumps(RECORD).encode(), "json"),
    "json lines": ((json.dumps(RECORD) + "\n").encode() * 2, "json"),
    "json with a mark": (b"\xef\xbb\xbf" + json.dumps([RECORD]).encode(), "json"),
    "json in utf-16": (json.dumps([RECORD]).encode("utf-16"), "json"),
    "json in utf-16 without mark": (json.dumps([RECORD]).encode("utf-16-le"), "json"),
    "json that talks of resources": (json.dumps([RECORD | {"notes": '"resourceType": "x"'}]).encode(), "json"),
    "fhir": (json.dumps(RESPONSE).encode(), "fhir"),
    "fhir with its mark last": (json.dumps(dict(reversed(RESPONSE.items()))).encode(), "fhir"),
    "fhir with its mark late": (LATE_MARK.encode(), "fhir"),
    "fhir lines": ((json.dumps(RESPONSE) + "\n").encode() * 2, "fhir"),
    "fhir in utf-16": (json.dumps(RESPONSE).encode("utf-16"), "fhir"),
    "fhir bundle": (
        json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": RESPONSE}]}).encode(),
        "fhir",
    ),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("kind", KNOWN)
def test_a_file_is_known_by_its_content_whatever_its_name(kind: str, packed: bool, tmp_path: Path) -> None:
    content, expected = KNOWN[kind]
    file = tmp_path / "report.pdf"
    file.write_bytes(gzip.compress(content) if packed else content)
    with opened_source(file) as source:
        assert source.header.format == expected
        assert "record_id" in [column.strip("[]") for column in source.header.columns]
        first = next(iter(source.blocks(source.header.columns)))
        assert first.cells.height == 1 or "lines" in kind
        assert first.cells[next(iter(source.header.columns))].to_list()[0] == "r1" or expected == "fhir"
    assert list(tmp_path.iterdir()) == [file]


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x02\x00"
UNKNOWN = {
    "nothing": (b"", "empty_file"),
    "white space": (b" \t\r\n" * 1000, "empty_file"),
    "white space in utf-16": (" \r\n".encode("utf-16"), "empty_file"),
    "nothing, packed": (gzip.compress(b""), "empty_file"),
    "packed twice": (gzip.compress(gzip.compress(CSV)), "packed_twice"),
    "zip of a csv": (zipped("a.csv"), "packed_twice"),
    "empty zip": (zipped(), "packed_twice"),
    "zip of a csv, packed": (gzip.compress(zipped("a.csv")), "packed_twice"),
    "tar": (tarred(), "packed_twice"),
    "tar, packed": (gzip.compress(tarred()), "packed_twice"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(40), "packed_twice"),
    "rar": (b"Rar!\x1a\x07\x01\x00" + bytes(40), "packed_twice"),
    "gzip cut off": (gzip.compress(CSV)[:-6], "broken_file"),
    "gzip with a wrong sum": (gzip.compress(CSV)[:-8] + bytes(8), "broken_file"),
    "gzip and something else": (gzip.compress(CSV) + b"x", "broken_file"),
    "gzip without content": (b"\x1f\x8b", "broken_file"),
    "zip cut off": (workbook()[:-40], "broken_file"),
    "old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old_workbook"),
    "binary workbook": (zipped("[Content_Types].xml", "xl/workbook.bin"), "old_workbook"),
    "open document": (zipped("mimetype", "content.xml"), "old_workbook"),
    "text document": (zipped("[Content_Types].xml", "word/document.xml"), "not_a_known_format"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "not_a_known_format"),
    "picture": (PNG, "not_a_known_format"),
    "photograph": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "not_a_known_format"),
    "program": (b"\x7fELF\x02\x01\x01" + bytes(60), "not_a_known_format"),
    "program of Windows": (b"MZ\x90\x00\x03\x00\x00\x00\n" + bytes(60), "not_a_known_format"),
    "database": (b"SQLite format 3\x00\x10\x00" + bytes(80), "not_a_known_format"),
    "xml": (b'<?xml version="1.0"?>\n<a/>', "not_a_known_format"),
    "web page": (b"\n<html><table><tr><td>record_id</td></tr></table>", "not_a_known_format"),
    "xml in utf-16": ('<?xml version="1.0"?>'.encode("utf-16"), "not_a_known_format"),
    "rich text": (rb"{\rtf1\ansi record_id}", "not_a_known_format"),
    "utf-32": (CSV.decode().encode("utf-32"), "not_a_known_format"),
    "nulls": (bytes(5000), "not_a_known_format"),
    "mostly nulls": (b"record_id\n" + bytes(5000), "not_a_known_format"),
    "json in broken utf-16": (json.dumps([RECORD]).encode("utf-16") + b"\x00\xd8a\x00", "unreadable_encoding"),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_is_not_read_is_refused_with_its_code(kind: str, tmp_path: Path) -> None:
    content, code = UNKNOWN[kind]
    file = tmp_path / "intake.csv"
    file.write_bytes(content)
    with pytest.raises(FileRefused) as refused, opened_source(file):
        pass
    assert refused.value.code == code
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_unpacks_to_far_more_than_it_is_is_refused_in_flat_memory(csv_file: Callable[..., Path]) -> None:
    file = csv_file(gzip.compress(CSV + b"," * (30 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(FileRefused) as refused, opened_source(file):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.code == "packed_too_tightly"
    assert peak < 10 << 20


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_above_the_limit_is_refused(
    packed: bool, csv_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = CSV + b"r2,north,2026-10-31T09:30:00Z\n" * 100
    monkeypatch.setattr(unpacked, "file_limits", lambda: file_limits() | {"file_bytes": 2000})
    with pytest.raises(FileRefused) as refused, opened_source(csv_file(gzip.compress(content) if packed else content)):
        pass
    assert refused.value.code == "too_large"


def test_a_zip_that_lists_more_than_a_workbook_does_is_not_listed(csv_file: Callable[..., Path]) -> None:
    file = csv_file(zipped("[Content_Types].xml", "xl/workbook.xml", *(f"{n:0200}" for n in range(5000))))
    with pytest.raises(FileRefused) as refused, opened_source(file):
        pass
    assert refused.value.code == "packed_twice"


def test_reading_csv_loads_no_reader_of_another_format(csv_file: Callable[..., Path]) -> None:
    code = (
        "import sys; from pathlib import Path; from warehouse.formats.recognise import opened_source\n"
        "with opened_source(Path(sys.argv[1])) as source:\n"
        "    rows = sum(len(block.numbers) for block in source.blocks(['record_id']))\n"
        "print(rows, 'openpyxl' in sys.modules, 'ijson' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(csv_file(CSV))], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["1", "False", "False"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["csv", "csv in utf-16", "workbook", "gzip"]),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.none() | st.floats(0, 1),
)
def test_damaged_files_are_read_or_refused_and_nothing_else(
    kind: str, edits: list[tuple[float, int]], cut: float | None, csv_file: Callable[..., Path]
) -> None:
    content = bytearray(gzip.compress(CSV, mtime=0) if kind == "gzip" else KNOWN[kind][0])
    for place, byte in edits:
        content[int(place * len(content))] = byte
    file = csv_file(bytes(content[: int(len(content) * cut)] if cut is not None else content))
    try:
        with opened_source(file) as source:
            for block in source.blocks(source.header.columns):
                assert block.cells.height + block.broken.height == len(block.numbers)
    except FileRefused:
        pass


def repeated(rows: int, size: int) -> tuple[bytes, bytes]:
    """A text that stands once in a Parquet file and in a workbook, and in each of their records."""
    ids = [f"r{n}" for n in range(rows)]
    of_columns = io.BytesIO()
    pl.DataFrame({"record_id": ids, "notes": ["x" * size] * rows}).write_parquet(of_columns)
    of_cells, book = io.BytesIO(), openpyxl.Workbook()
    for row in (["record_id", "notes"], *([number, "x" * size] for number in ids)):
        book.worksheets[0].append(row)
    book.save(of_cells)
    return of_columns.getvalue(), of_cells.getvalue()


@pytest.mark.parametrize("format", ["parquet", "workbook"])
@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"unfolded_bytes": 1 << 20, "compression_ratio": 10}, "packed_too_tightly"),
        ({"unfolded_bytes": 1 << 20, "compression_ratio": 10_000}, None),
        ({"compression_ratio": 1}, None),
        ({"file_bytes": 1 << 20}, "too_large"),
    ],
)
def test_the_text_that_a_small_file_unfolds_to_is_bounded(
    format: str,
    limits: dict[str, int],
    code: str | None,
    csv_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded, "file_limits", lambda: file_limits() | limits)
    with opened_source(csv_file(repeated(100, 30_000)[format == "workbook"])) as source:
        if code is None:
            assert sum(len(block.numbers) for block in source.blocks([])) == 100
            return
        with pytest.raises(FileRefused) as refused:
            for _ in source.blocks([]):
                pass
    assert refused.value.code == code


def test_a_table_of_noes_may_pack_as_tightly_as_it_likes(
    csv_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "file_limits", lambda: file_limits() | {"unfolded_bytes": 1000})
    file = io.BytesIO()
    noes = {question.column: pl.repeat(False, 2000, eager=True) for question in form() if question.type == "yesno"}
    keys = pl.Series("record_id", range(2000)).cast(pl.String)
    pl.DataFrame(noes).with_columns(keys).write_parquet(file, compression="zstd")
    with opened_source(csv_file(file.getvalue())) as source:
        texts = sum(int(block.texts.str.len_bytes().sum()) for block in source.blocks(["record_id"]))
    assert texts > file_limits()["compression_ratio"] * len(file.getvalue())
