"""CSV from bytes to records: nothing joined, padded, shifted or lost, whatever marks, line ends and bytes do."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.file_limits import file_limits
from schemas.problems import FileRefused
from warehouse.formats import delimited, splitting
from warehouse.formats.delimited import open_csv

HEADER = "record_id,clinic_id,submitted_at,notes"
ROW = "r{},north,2026-10-31T09:30:00Z,{}"
FIXTURE_IS_FINE = [HealthCheck.function_scoped_fixture]


@dataclass
class Read:
    """Everything of a file: header columns, texts in order, cells with record numbers, broken records by number."""

    columns: tuple[str, ...]
    texts: list[str]
    cells: pl.DataFrame
    broken: dict[int, str]

    def column(self, name: str) -> list[str | None]:
        return self.cells[name].to_list()


def read(content: str | bytes, wanted: Collection[str] | None = None) -> Read:
    source = open_csv(io.BytesIO(content.encode() if isinstance(content, str) else content))
    names = source.header.columns if wanted is None else wanted
    texts, cells, broken = [], [pl.DataFrame(schema=dict.fromkeys(names, pl.String) | {"number": pl.Int64})], {}
    for block in source.blocks(names):
        places = sorted(block.cells["row"].to_list() + block.broken["row"].to_list())
        assert places == list(range(len(block.numbers))) and len(block.texts) == len(block.numbers)
        assert block.cells["row"].is_sorted()
        assert block.numbers.to_list() == list(range(len(texts) + 1, len(texts) + len(places) + 1))
        texts += block.texts.to_list()
        cells.append(block.cells.drop("row").with_columns(number=block.numbers.gather(block.cells["row"])))
        broken |= {int(block.numbers[row]): code for row, code in block.broken.rows()}
    return Read(source.header.columns, texts, pl.concat(cells), broken)


def rows_of(content: str | bytes) -> list[tuple[str | None, ...]]:
    found = read(content)
    assert found.broken == {}
    return found.cells.drop("number").rows()


def file_of(*rows: str, end: str = "\n") -> str:
    return end.join([HEADER, *rows]) + end


TWO = (ROW.format(1, "a"), ROW.format(2, "b"))
GOOD = {
    "line feeds": file_of(*TWO),
    "carriage returns and line feeds": file_of(*TWO, end="\r\n"),
    "carriage returns doubled on the way": file_of(*TWO, end="\r\r\n"),
    "carriage returns doubled, quoted": file_of(ROW.format(1, '"a"'), ROW.format(2, '"b"'), end="\r\r\n"),
    "carriage returns alone": file_of(*TWO, end="\r"),
    "carriage returns alone, quoted": file_of(ROW.format(1, '"a"'), ROW.format(2, '"b"'), end="\r"),
    "no end": file_of(*TWO).rstrip("\n"),
    "byte order mark": "\ufeff" + file_of(*TWO),
    "blank lines": "\n  \n" + file_of("", TWO[0], "", TWO[1], ""),
    "quoted": file_of(ROW.format(1, '"a"'), ROW.format(2, '"b"')),
    "all quoted": "\n".join('"' + line.replace(",", '","') + '"' for line in (HEADER, *TWO)),
    "semicolons": file_of(*TWO).replace(",", ";"),
    "tabs": file_of(*TWO).replace(",", "\t"),
    "bars": file_of(*TWO).replace(",", "|"),
    "the sign is named": "sep=;\r\n" + file_of(*TWO, end="\r\n").replace(",", ";"),
    "the sign is named in quotes": '"sep=\t"\n\n' + file_of(*TWO).replace(",", "\t"),
    "names with spaces around": file_of(*TWO).replace("clinic_id", " clinic_id "),
}


@pytest.mark.parametrize("kind", GOOD)
def test_well_formed_files_give_the_same_cells(kind: str) -> None:
    found = read(GOOD[kind])
    assert found.broken == {}
    assert found.cells.select("number", "record_id", "notes").rows() == [(1, "r1", "a"), (2, "r2", "b")]
    assert found.columns == tuple(HEADER.split(","))


ENCODINGS = {
    "utf-8": ("utf-8", b"", "für 3 €, 走る"),
    "utf-8 with mark": ("utf-8", b"\xef\xbb\xbf", "für 3 €, 走る"),
    "utf-16 little": ("utf-16-le", b"\xff\xfe", "für 3 €, 走る, 🏃"),
    "utf-16 big": ("utf-16-be", b"\xfe\xff", "für 3 €, 走る, 🏃"),
    "utf-16 little without mark": ("utf-16-le", b"", "für 3 €, 走る, 🏃"),
    "utf-16 big without mark": ("utf-16-be", b"", "für 3 €, 走る, 🏃"),
    "windows-1252": ("cp1252", b"", "für 3 €, „so“…"),
}


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize("kind", ENCODINGS)
def test_every_encoding_gives_the_same_text(kind: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    codec, mark, note = ENCODINGS[kind]
    monkeypatch.setattr(delimited, "BLOCK_BYTES", block)
    content = mark + file_of(ROW.format(1, f'"{note}"'), TWO[1], end="\r\n").encode(codec)
    found = read(content)
    assert found.broken == {}
    assert found.column("notes") == [note, "b"]
    assert found.texts == [ROW.format(1, f'"{note}"'), TWO[1]]
    encoding = open_csv(io.BytesIO(content)).header.encoding
    assert encoding == {"cp1252": "windows-1252"}.get(codec, codec)


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
    "two rows by a carriage return": (
        [ROW.format(1, "a"), ROW.format(2, "b") + "\r" + ROW.format(2, "b"), ROW.format(3, "c")],
        {2: "cell_count"},
    ),
    "carriage return before a mark": (
        [ROW.format(1, "a"), ROW.format(2, 'b\r"c'), 'd",e', ROW.format(4, "c")],
        {2: "unclosed_quote", 3: "cell_count"},
    ),
    "blank start by a carriage return": (
        [ROW.format(1, "a"), "\r" + ROW.format(2, "b"), ROW.format(3, "c")],
        {2: "cell_count"},
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_record_is_named_and_its_neighbours_are_kept(kind: str) -> None:
    rows, expected = BROKEN[kind]
    found = read(file_of(*rows))
    assert found.broken == expected
    assert found.texts == rows
    assert found.cells.select("number", "record_id").rows() == [(1, "r1"), (len(rows), f"r{len(rows)}")]


KEPT_AS_TEXT = {
    "formula": "=1+1",
    "command": '@SUM(1+1)*cmd|"/c calc"!A0',
    "right to left": "\u202etfel\u202c",
    "no width": "a\u200b\u200d\ufeffb",
    "null": "a\x00b",
    "only null": "\x00",
    "line break": "two\nlines",
    "line break of Windows": "two\r\nlines",
    "carriage return": "two\rlines",
    "control signs": "\x01\x1a\x1b\x7f\x85\u2028",
    "white space": "  a\t ",
    "mark inside": 'a 5" lump',
    "looks missing": "NULL",
    "infinite": "1e400",
}


@pytest.mark.parametrize("kind", KEPT_AS_TEXT)
def test_hostile_text_is_kept_as_it_is(kind: str) -> None:
    content = file_of(ROW.format(1, '"{}"'.format(KEPT_AS_TEXT[kind].replace('"', '""'))), ROW.format(2, "b"))
    assert read(content).column("notes") == [KEPT_AS_TEXT[kind], "b"]


# The situations that every reader of CSV meets, as cells.
SPECTRUM = {
    "comma in quotes": ('a,b\n1,"x, y"\n', [("1", "x, y")]),
    "empty": ('a,b,c\n1,"",""\n2,3,4', [("1", "", ""), ("2", "3", "4")]),
    "empty, Windows": ('a,b,c\r\n1,"",""\r\n2,3,4', [("1", "", ""), ("2", "3", "4")]),
    "escaped marks": ('a,b\n1,"so ""so"" so"\n3,4\n', [("1", 'so "so" so'), ("3", "4")]),
    "json in a cell": ('k,v\n1,"{""a"": [1.0, 2]}"\n', [("1", '{"a": [1.0, 2]}')]),
    "marks inside": ("a,b\n1,37\ufffd5'6.7\"N 12'1\"W\n", [("1", "37\ufffd5'6.7\"N 12'1\"W")]),
    "line feed in a cell": ('a,b\n"on \nce",2\n3,4\n', [("on \nce", "2"), ("3", "4")]),
    "line end of Windows in a cell": ('a,b\r\n"on \r\nce",2\r\n3,4\r\n', [("on \r\nce", "2"), ("3", "4")]),
    "marks and line feeds": ('a,b\n1,"x \n""x"" \nx"\n3,4\n', [("1", 'x \n"x" \nx'), ("3", "4")]),
    "simple": ("a,b,c\n1,2,3\n", [("1", "2", "3")]),
    "simple, Windows": ("a,b,c\r\n1,2,3\r\n", [("1", "2", "3")]),
    "beyond ASCII": ("a,b\n1,2\n4,\u02a4", [("1", "2"), ("4", "\u02a4")]),
}


@pytest.mark.parametrize("kind", SPECTRUM)
def test_the_common_situations_give_their_cells(kind: str) -> None:
    content, expected = SPECTRUM[kind]
    assert rows_of(content) == expected


def test_a_byte_order_mark_inside_the_file_stays_in_its_cell() -> None:
    assert rows_of("a,b\n\ufeff1,2\n3,4\n") == [("\ufeff1", "2"), ("3", "4")]


DELIMITER_CHOSEN = {
    "the form's columns count first": ("record_id;clinic_id, x, y, z, w;notes", ";"),
    "then the most columns": ("a|b;c;d", ";"),
    "signs in quotes do not count": ('"a;b;c",d', ","),
    "one column": ("record_id", ","),
}


@pytest.mark.parametrize("kind", DELIMITER_CHOSEN)
def test_the_sign_between_cells_is_told_by_the_header(kind: str) -> None:
    line, expected = DELIMITER_CHOSEN[kind]
    assert open_csv(io.BytesIO(line.encode() + b"\n")).header.delimiter == expected


def test_columns_without_a_name_are_numbered_and_never_clash() -> None:
    found = read("record_id,,column 2,row, \nr1,b,c,d,e\n")
    assert found.columns == ("record_id", "column 2_", "column 2", "column 4", "column 5")
    assert found.cells.drop("number").rows() == [("r1", "b", "c", "d", "e")]


def test_a_header_of_blanks_still_gives_columns() -> None:
    assert read(",,\n1,2,3\n").columns == ("column 1", "column 2", "column 3")


def test_only_wanted_columns_are_given_in_the_order_of_the_file() -> None:
    content = file_of(*TWO)
    assert read(content, ["record_id", "notes"]).cells.drop("number").rows() == [("r1", "a"), ("r2", "b")]
    source = open_csv(io.BytesIO(content.encode()))
    assert [block.cells.columns for block in source.blocks({"notes", "record_id"})] == [["record_id", "notes", "row"]]
    assert [block.cells.columns for block in source.blocks(())] == [["row"]]
    assert [block.cells["row"].to_list() for block in source.blocks(())] == [[0, 1]]


def test_names_that_look_like_patterns_are_names() -> None:
    found = read("record_id,*,^r.*$\nr1,a,b\n")
    assert found.cells.drop("number").to_dicts() == [{"record_id": "r1", "*": "a", "^r.*$": "b"}]
    assert read("record_id,*,^r.*$\nr1,a,b\n", ["*"]).cells.columns == ["*", "number"]


def test_blocks_can_be_read_again_while_they_are_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 16)
    source = open_csv(io.BytesIO(file_of(*(ROW.format(n, "é") for n in range(9))).encode("utf-16")))
    one, other = source.blocks(["notes"]), source.blocks(["record_id"])
    for first, second in zip(one, other, strict=True):
        assert first.texts.to_list() == second.texts.to_list()
    assert sum(len(block.numbers) for block in source.blocks(["notes"])) == 9


REFUSED = {
    "nothing": (b"", "empty_file", ()),
    "white space": (b" \r\n\t\n  ", "empty_file", ()),
    "only a mark": (b"\xef\xbb\xbf", "empty_file", ()),
    "only the sign is named": (b"sep=;\r\n", "empty_file", ()),
    "a column twice": (HEADER.encode() + b",notes\n", "duplicate_column", ("notes",)),
    "an unknown column twice": (HEADER.encode() + b",Anna, Anna\n", "duplicate_column", ()),
    "bytes in the header": (
        "record_id,größe,notes\nr1,é,é\n".encode().replace(b"\xc3\xb6", b"\xff"),
        "unreadable_encoding",
        (),
    ),
    "doubtful header": ("É»,notes\n".encode("cp1252") + b"\xe9\xe8,\xe9\n", "unreadable_encoding", ()),
    "utf-16 cut off": (file_of(*TWO).encode("utf-16")[:-1], "unreadable_encoding", ()),
    "utf-16 broken": (file_of(*TWO).encode("utf-16") + b"\x00\xd8a\x00", "unreadable_encoding", ()),
    "mark open in the header": (b'record_id,"notes\nr1,a\n', "broken_file", ()),
    "line ends mixed": (b"record_id,notes\rr1,a\nr2,b\n", "broken_file", ()),
    "too many columns": (",".join(f"c{n}" for n in range(10_000)).encode() + b"\n", "too_many_columns", ()),
    "far too many columns": (b"," * 3_000_000 + b"\n", "too_many_columns", ()),
    "no line end": (b"a" * 3_000_000, "not_a_known_format", ()),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_cannot_be_taken_in_is_refused_with_a_code(kind: str) -> None:
    content, code, columns = REFUSED[kind]
    with pytest.raises(FileRefused) as refused:
        read(content)
    assert (refused.value.code, refused.value.columns) == (code, columns)
    assert "Anna" not in str(refused.value)


def test_as_many_columns_as_the_limit_are_read() -> None:
    columns = [f"c{n}" for n in range(file_limits()["columns"])]
    found = read(",".join(columns) + "\n" + ",".join("1" for _ in columns) + "\n", ["c7"])
    assert found.column("c7") == ["1"]


def test_a_bad_byte_costs_its_record_and_no_other() -> None:
    rows = [ROW.format(n, "für").encode() for n in range(1, 5)]
    rows[1] = rows[1].replace("ü".encode(), b"\xfc")
    found = read(b"\n".join([HEADER.encode(), *rows]))
    assert found.broken == {2: "bad_bytes"}
    assert found.column("notes") == ["für"] * 3
    assert found.texts[1] == ROW.format(2, "f\\xfcr")


def test_where_more_is_broken_than_whole_no_sign_beyond_ascii_is_trusted() -> None:
    """Three signs of another encoding, and two that happen to be one of UTF-8: the second must not load as that one."""
    rows = [ROW.format(1, "café"), ROW.format(2, "CAFÉ»"), ROW.format(3, "a"), ROW.format(4, "für")]
    found = read("\n".join([HEADER, *rows]).encode("cp1252"))
    assert found.broken == {1: "bad_bytes", 2: "bad_bytes", 4: "bad_bytes"}
    assert found.column("notes") == ["a"]


def test_bytes_that_no_encoding_defines_cost_their_records() -> None:
    found = read(file_of(TWO[0]).encode() + ROW.format(2, "").encode() + b"\x81\xe9\n" + ROW.format(3, "c").encode())
    assert found.broken == {2: "bad_bytes"}
    assert found.column("notes") == ["a", "c"]


LONG = {
    "bare": ("x" * 3000, {2: "too_long"}, 3),
    "quoted": ('"' + "x" * 3000 + '"', {2: "too_long"}, 3),
    "open": ('"' + "x" * 3000, {2: "too_long"}, 3),
    "open over lines": ('"' + "x\n" * 900, {2: "unclosed_quote"} | {n: "cell_count" for n in range(3, 902)}, 902),
}


@pytest.mark.parametrize("block", [100, 1500, 1 << 20])
@pytest.mark.parametrize("kind", LONG)
def test_a_record_without_end_is_named_and_the_next_is_read(
    kind: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, broken, last = LONG[kind]
    monkeypatch.setattr(delimited, "BLOCK_BYTES", block)
    monkeypatch.setattr(delimited, "file_limits", lambda: file_limits() | {"record_bytes": 1000})
    found = read(file_of(ROW.format(1, "a"), ROW.format(2, note), ROW.format(last, "c")))
    assert found.broken == broken
    assert found.cells.select("number", "record_id").rows() == [(1, "r1"), (last, f"r{last}")]
    assert found.texts[1] == ROW.format(2, note).split("\n")[0]


@pytest.mark.parametrize("block", [100, 1 << 20])
def test_of_a_line_without_end_only_the_start_is_kept(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", block)
    monkeypatch.setattr(splitting, "LINE_BYTES", 2000)
    monkeypatch.setattr(delimited, "file_limits", lambda: file_limits() | {"record_bytes": 1000})
    found = read(file_of(ROW.format(1, "a"), ROW.format(2, "x" * 9000), ROW.format(3, "c")))
    assert found.broken == {2: "too_long"}
    assert found.texts[1] == ROW.format(2, "x" * 9000)[:2000]
    assert found.column("record_id") == ["r1", "r3"]


class Repeating(io.RawIOBase):
    """A file of a header and ``times`` times the same text, of which a test holds no more than the reader does."""

    def __init__(self, head: bytes, text: bytes, times: int) -> None:
        self.head, self.text, self.position = head, text, 0
        self.size = len(head) + len(text) * times

    def seek(self, position: int, whence: int = 0) -> int:
        self.position = position
        return position

    def read(self, size: int = -1) -> bytes:
        start, size = self.position - len(self.head), min(size, self.size - self.position)
        self.position += size
        if start < 0:
            return (self.head + self.text * (size // len(self.text) + 1))[start + len(self.head) :][:size]
        start %= len(self.text)
        return (self.text * (size // len(self.text) + 2))[start : start + size]


@pytest.mark.parametrize("repeated", [ROW.format(1, "a").encode() + b"\n", b"x" * 40], ids=["records", "one line"])
def test_memory_does_not_grow_with_the_file(repeated: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr(splitting, "LINE_BYTES", 1 << 20)
    source = open_csv(Repeating(HEADER.encode() + b"\n", repeated, (12 << 20) // len(repeated)))  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        for _ in source.blocks(["notes"]):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 << 20


def text_without(signs: str, codec: str = "utf-8") -> st.SearchStrategy[str]:
    if codec == "cp1252":  # letters that no two of them are one sign of UTF-8
        return st.text(st.sampled_from([s for s in "a ;,\t|\"'\n\r\x00éßÀÿ" if s not in signs]), max_size=12)
    return st.text(st.characters(exclude_characters=signs, exclude_categories=["Cs"]), max_size=12)


@st.composite
def written(draw: st.DrawFn) -> tuple[bytes, list[list[str]]]:
    """A file as Python's writer writes it in some dialect, and the rows that were written."""
    codec = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    # Python quotes a cell only for the signs that end its own lines; a line feed says that carriage returns do not.
    unsafe = {"\n": "\r" if quoting == csv.QUOTE_MINIMAL else "", "\r": "\n"}.get(end, "")
    notes = draw(st.lists(st.tuples(text_without(unsafe, codec), text_without(unsafe, codec)), max_size=8))
    rows = [[f"r{number}", "north", first, second] for number, (first, second) in enumerate(notes, start=1)]
    text = io.StringIO(newline="")
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([HEADER.split(","), *rows])
    return text.getvalue().encode(codec), rows


@settings(max_examples=150, deadline=None, suppress_health_check=FIXTURE_IS_FINE)
@given(file=written(), block=st.integers(1, 200))
def test_what_a_csv_writer_wrote_is_read_back_in_blocks_of_any_size(
    file: tuple[bytes, list[list[str]]], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", block)
    content, rows = file
    found = read(content)
    assert found.broken == {}
    assert [list(row) for row in found.cells.drop("number").rows()] == rows


WHOLE = file_of(
    ROW.format(1, "für 5 Wochen"),
    ROW.format(2, '"läuft, mit Pausen"'),
    ROW.format(3, '"zwei\nZeilen, ""üü"""'),
    ROW.format(4, 'eine 5" Beule, äöüß'.replace(",", "")),
    ROW.format(5, '"éé\r\nèè"'),
    ROW.format(6, ""),
    end="\r\n",
).encode()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    content = bytearray(WHOLE)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content) - 1))
        byte = draw(st.sampled_from(b'",;\r\n\x00\x1a\xff\xc3 \t|') | st.integers(0, 255))
        match draw(st.sampled_from(["replace", "insert", "delete", "cut"])):
            case "replace":
                content[place] = byte
            case "insert":
                content.insert(place, byte)
            case "delete":
                del content[place]
            case "cut" if place > len(HEADER):
                del content[place:]
    return bytes(content)


def strictly(lines: list[str], delimiter: str) -> Iterable[tuple[str, list[str] | None]]:
    """Text and cells of each record as Python's strict reader sees it; None, and one line, where it sees none."""
    while lines:
        taken, cells = 1, None
        for count in range(1, len(lines) + 1):
            try:
                (cells,) = csv.reader(lines[:count], strict=True, delimiter=delimiter)
                taken = count
                break
            except csv.Error as error:
                if "unexpected end of data" not in str(error):
                    break
        text = "".join(lines[:taken]).rstrip("\r\n")
        lines = lines[taken:]
        if text:
            yield text, cells


@settings(max_examples=400, deadline=None, suppress_health_check=FIXTURE_IS_FINE)
@given(content=damaged(), block=st.integers(1, 200))
def test_damaged_bytes_never_change_a_cell_unseen(content: bytes, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", block)
    try:
        found = read(content)
    except FileRefused:
        return
    header = open_csv(io.BytesIO(content)).header
    if header.encoding == "windows-1252":
        content = content.decode("cp1252").encode()
    text, end = content.decode(errors="surrogateescape"), "\n" if b"\n" in content else "\r"
    lines = [line + "\n" for line in text.removesuffix(end).split(end)]
    (_, names), *records = strictly(lines, header.delimiter)
    assert names is not None
    assert [name.strip() or f"column {place}" for place, name in enumerate(names, 1)] == list(found.columns)
    assert found.texts == [
        text.encode(errors="surrogateescape").decode(errors="backslashreplace") for text, _ in records
    ]
    well_formed = {
        number: tuple(cells)
        for number, (text, cells) in enumerate(records, start=1)
        if cells is not None and len(cells) == len(names) and not any("\udc80" <= sign <= "\udcff" for sign in text)
    }
    loaded = {number: tuple(cells) for *cells, number in found.cells.select(*found.columns, "number").rows()}
    assert loaded.items() <= well_formed.items()
    doubted = well_formed.keys() - loaded.keys()
    assert all(found.broken[number] == "bad_bytes" and not found.texts[number - 1].isascii() for number in doubted)
