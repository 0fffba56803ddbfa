"""A record withdrawn: hidden and kept, or erased so that nothing of it can be decoded from anything that is left."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from click.testing import CliRunner, Result

from pipelines import materialise
from pipelines.commands.quarantine import quarantine
from pipelines.commands.run import run
from pipelines.commands.withdraw import withdraw as command
from tests.published_home import published, score
from tests.test_privacy import decoded
from warehouse import intake, landing, ledger, replay, snapshots, sources
from warehouse.formats.recognise import opened_source
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.store import WarehouseRefused, opened
from warehouse.withdrawing import erasure, rebuilding, rewriting, withdrawal, withdrawn
from warehouse.withdrawing.search import Found, Named, look
from warehouse.withdrawing.tables import HOLDS_NO_RECORD, KEY, PLACE, WHOLE_FILE, tables_with
from warehouse.withdrawing.terms import Agreed

PLANTED = "Zorblax"
ID, PERSON = f"{PLANTED}-17", f"{PLANTED}-person"
AGREED = Agreed("Dr Adams", "patient_request")
HEADER = "record_id,patient_key,submitted_at,age_years,systemic__fever,their_own,notes\n"


def row(
    record_id: str,
    *,
    person: str = "",
    day: int = 2,
    age: object = 30,
    own: str = "",
    notes: str = "",
    fever: str = "1",
) -> str:
    return f'{record_id},{person},2026-01-{day:02d}T10:00:00Z,{age},{fever},{own},"{notes}"\n'


def of_record(**said: Any) -> str:
    return row(ID, person=PERSON, own=f"{PLANTED} own", notes=f"Call {PLANTED},\nplease", **said)


NEIGHBOURS = [
    row("n1", own="x"),
    row("n2", age="5.5"),  # refused
    row("n3", day=3, notes="two\nlines"),
    row("n3", day=3, notes="two\nlines"),  # a duplicate
    row("n4", day=1, person="p4"),
]
# The record: two versions, a duplicate, one that cannot be read, and one with too few cells.
FIRST = [
    NEIGHBOURS[0], of_record(), NEIGHBOURS[1], of_record(day=3), of_record(day=3), NEIGHBOURS[2],
    of_record(day=4, age=f"{PLANTED} age"), NEIGHBOURS[3], f"{ID},{PLANTED} short\n", NEIGHBOURS[4],
]  # fmt: skip
DECISIONS = (
    "record_id,decided_at,decided_by,decided_tier,reason\n"
    "n1,2026-01-09T10:00:00Z,Dr Adams,urgent,examined\n"
    f"{ID},2026-01-09T10:00:00Z,{PLANTED} Jones,urgent,known_to_clinic\n"
)


def csv_text(rows: list[str]) -> bytes:
    return (HEADER + "".join(rows)).encode()


def take_in(home: Home, content: bytes, name: str = "intake.csv", clinic: str = "north") -> ledger.Reconciled:
    file = home.root.parent / name
    file.write_bytes(content)
    batch, _ = sources.register(home, file, clinic=clinic, data_kind="sample")
    file.unlink()
    return intake.load(home, batch.batch_id)


def ask(home: Home, query: str) -> list[tuple[Any, ...]]:
    with opened(home, "test") as connection:
        return connection.execute(query).fetchall()


def find(home: Home, named: Named, *, in_files: bool = True) -> Found:
    with opened(home, "test") as connection:
        return look(connection, home, named, in_files=in_files)


def erase(home: Home, named: Named | None = None) -> Found:
    """Only the rows; the rest is ``carry_out``."""
    with opened(home, "test") as connection:
        found = look(connection, home, named or Named("north", ID), in_files=True)
        withdrawal.erase(connection, home, found, AGREED)
    return found


def carry_out(home: Home) -> None:
    erasure.go_on(home)
    published(home)
    erasure.end(home)


def left(home: Home) -> list[tuple[str, str]]:
    """Where planted text can still be decoded."""
    return [(file, place) for file, place, text in decoded(home.root) if PLANTED in text]


def answers(home: Home) -> list[tuple[Any, ...]]:
    """What clinicians see, and what the warehouse holds of everybody else."""
    with connect(current_snapshot(home)) as connection:
        shown = connection.execute(
            f"SELECT clinic_id, record_id, intake_hash, tier FROM referrals WHERE record_id <> '{ID}' ORDER BY ALL"
        ).fetchall()
    kept = ask(
        home,
        "SELECT v.* EXCLUDE (batch_id, record_number, received_at), r.record_text FROM intake_valid v "
        f"JOIN intake_raw r USING (batch_id, record_number) WHERE record_id <> '{ID}' ORDER BY ALL",
    )
    refused = ask(
        home,
        "SELECT q.problems, r.record_text FROM intake_quarantine q JOIN intake_raw r USING (batch_id, record_number) "
        f"WHERE NOT contains(r.record_text, '{PLANTED}') AND r.record_text <> '' ORDER BY ALL",
    )
    return [*shown, *kept, *refused]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the planted record in three files and two snapshots; made once, and copied."""
    home = Home(tmp_path_factory.mktemp("made") / "home")
    home.ensure()
    first = take_in(home, csv_text(FIRST), f"{PLANTED} Smith.csv")
    assert (first.received, first.accepted + first.superseded, first.duplicate, first.quarantined) == (10, 5, 2, 3)
    published(home)
    take_in(home, csv_text([row("n5"), of_record(day=3), of_record(day=5)]), "second.csv")
    take_in(home, DECISIONS.encode(), "decisions.csv")
    published(home)
    return home.root


@pytest.fixture
def filled(made: Path, home: Home) -> Home:
    """A home of its own, with the planted record in it."""
    shutil.copytree(made, home.root, dirs_exist_ok=True)
    return home


def test_what_was_erased_can_be_decoded_from_nothing_that_is_left(filled: Home) -> None:
    places = {file.partition("/")[0] for file, _ in left(filled)}
    assert places == {"archive", "warehouse.duckdb", "quarantine.duckdb", "snapshots", "answers"}
    before = answers(filled)
    on_arrival = ask(filled, "SELECT * FROM intake_ledger ORDER BY ALL")
    found = erase(filled)
    assert found.arrivals.height == 8  # 5 of the first file, 2 of the second, 1 decision
    assert found.decided == 1
    carry_out(filled)
    assert left(filled) == []
    assert answers(filled) == before
    assert ask(filled, "SELECT * FROM intake_ledger WHERE event = 'arrival' ORDER BY ALL") == on_arrival
    gone = ask(
        filled, "SELECT sum(received), sum(accepted), sum(quarantined) FROM intake_ledger WHERE event = 'withdrawal'"
    )
    assert gone == [(8, 4, 2)]
    assert len(list(filled.snapshots.glob("2*"))) == 1
    (audit,) = ask(
        filled, "SELECT how, by_name, reason, clinic_id, records, arrivals, files, keyed_hash FROM withdrawal"
    )
    assert audit[:7] == ("erase", "Dr Adams", "patient_request", "north", 1, 8, 3)
    secret = bytes.fromhex((filled.root / "withdrawal.key").read_text())
    assert audit[7] == hmac.new(secret, f"record\x1fnorth\x1f{ID}".encode(), "sha256").hexdigest()
    assert ask(filled, "SELECT step FROM withdrawal_step ORDER BY done_at") == [("rebuilt",), ("ended",)]
    assert (filled.root / "withdrawal.key").stat().st_mode & 0o077 == 0


def test_archived_files_lose_the_record_and_nothing_else(filled: Home) -> None:
    erase(filled)
    erasure.go_on(filled)
    kept = [NEIGHBOURS[0], NEIGHBOURS[1], NEIGHBOURS[2], NEIGHBOURS[3], NEIGHBOURS[4]]
    expected = {csv_text(kept), csv_text([row("n5")]), DECISIONS.rpartition(ID)[0].encode()}
    files = {file.name: file.read_bytes() for file in filled.archive.iterdir()}
    assert set(files.values()) == expected
    assert all(hashlib.sha256(content).hexdigest() == name for name, content in files.items())
    for batch, sha256, size in ask(filled, "SELECT batch_id, sha256, size_bytes FROM intake_file"):
        assert len(files[sha256]) == size
        with opened_source(filled.archive / sha256) as source:
            in_file = {
                (n, t) for b in source.blocks(source.header.columns) for n, t in zip(b.numbers, b.texts, strict=True)
            }
        kept_rows = ask(filled, f"SELECT record_number, record_text FROM intake_raw WHERE batch_id = '{batch}'")
        assert {one for one in kept_rows if one[0] > 0} == in_file


def test_what_was_erased_does_not_come_back(filled: Home) -> None:
    before = answers(filled)
    erase(filled)
    erasure.go_on(filled)
    again = take_in(filled, csv_text(FIRST))
    assert again.received == 10  # the counts of the first time: nothing was loaded
    assert len(list(filled.archive.iterdir())) == 3
    other = take_in(filled, csv_text([*FIRST, row("n9", day=9)]))
    assert (other.accepted, other.duplicate, other.quarantined) == (1, 4, 6)  # 5 withdrawn, and n2 again
    assert ask(filled, "SELECT count(*) FROM intake_quarantine WHERE problems[1].code = 'withdrawn'") == [(5,)]
    carry_out(filled)
    assert left(filled) == []
    after = answers(filled)
    assert all(one in after for one in before)
    with connect(current_snapshot(filled)) as connection:
        unread = connection.execute("SELECT error_codes FROM unread_forms").fetchall()
    assert unread == [(["not_a_whole_number"],)] * 2


# Each is one place where the process may vanish, in the order of an erasure.
STEPS = [
    (erasure, "_enter_rewritten", "before"),
    (erasure, "_take_out", "after"),
    (erasure, "_remove_old_files", "before"),
    (rebuilding, "_copy", "after"),
    (erasure, "rebuild", "after"),
    (snapshots, "build", "before"),
    (snapshots, "_swap_pointer", "before"),
    (snapshots, "_swap_pointer", "after"),
    (erasure, "_remove_snapshots", "before"),
    (erasure, "_remove_snapshots", "after"),
]


class Killed(BaseException):
    """The process is gone."""


def test_a_kill_at_any_step_leaves_what_the_next_run_ends(filled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answers(filled)
    erase(filled)
    for module, name, when in STEPS:
        with monkeypatch.context() as patched:
            real = getattr(module, name)

            def dies(*given: Any, real: Any = real, when: str = when, **named: Any) -> None:
                if when == "after":
                    real(*given, **named)
                raise Killed

            patched.setattr(module, name, dies)
            with pytest.raises(Killed):
                carry_out(filled)
        assert current_snapshot(filled).clinics == ("north",)  # whoever reads sees a whole table
        assert erasure.unfinished(filled), name
    carry_out(filled)
    assert left(filled) == []
    assert answers(filled) == before
    assert not erasure.unfinished(filled)
    assert not list(filled.root.glob(".half-*"))
    assert len(list(filled.archive.iterdir())) == 3


def test_restricted_is_kept_and_shown_to_nobody_until_it_is_lifted(filled: Home) -> None:
    before = answers(filled)
    rows = ask(filled, "SELECT count(*) FROM intake_raw")
    with opened(filled, "test") as connection:
        found = look(connection, filled, Named("north", ID), in_files=False)
        assert not withdrawal.is_restricted(connection, found)
        withdrawal.restrict(connection, filled, found, AGREED)
        assert withdrawal.is_restricted(connection, found)
    carry_out(filled)
    assert {file.partition("/")[0] for file, _ in left(filled)} == {"archive", "warehouse.duckdb", "quarantine.duckdb"}
    with duckdb.connect(filled.quarantine_copy, read_only=True) as copy:
        assert copy.execute(f"SELECT count(*) FROM quarantine WHERE record_id = '{ID}'").fetchone() == (0,)
    assert ask(filled, "SELECT count(*) FROM intake_raw") == rows
    assert answers(filled) == before
    take_in(filled, csv_text([of_record(day=8)]))  # a later version is kept too, and hidden too
    score(filled)
    carry_out(filled)
    with connect(current_snapshot(filled)) as connection:
        for table in ("referrals", "referral_history", "lineage", "unread_forms", "worklist"):
            assert connection.execute(f"SELECT count(*) FROM {table} WHERE record_id = '{ID}'").fetchone() == (0,), (
                table
            )
    with opened(filled, "test") as connection:
        assert withdrawal.lift(connection, filled, found, AGREED) == 1
        assert withdrawal.lift(connection, filled, found, AGREED) == 0
    carry_out(filled)
    with connect(current_snapshot(filled)) as connection:
        assert connection.execute(f"SELECT count(*) FROM referrals WHERE record_id = '{ID}'").fetchone() == (1,)
    assert ask(filled, "SELECT how FROM withdrawal ORDER BY withdrawal_number") == [("restrict",), ("lift",)]


def test_all_records_of_a_person_go_and_a_form_sent_later_is_a_new_one(home: Home) -> None:
    take_in(home, csv_text([row("a", person=PERSON), row("b", person=PERSON, age="x"), row("c", person="other")]))
    found = erase(home, Named("north", None, PERSON))
    assert found.record_ids == ("a", "b")
    erasure.go_on(home)
    assert left(home) == []
    later = row("e", person=PERSON).replace("2026-01", "2099-01")
    counts = take_in(home, csv_text([row("d", person=PERSON), later]), "2.csv")
    codes = ask(
        home,
        f"SELECT problems[1].code FROM intake_quarantine WHERE batch_id = '{counts.batch_id}' ORDER BY record_number",
    )
    assert (counts.quarantined, codes) == (2, [("withdrawn",), ("in_future",)])  # read, and refused for its year only


def test_a_refused_record_without_an_id_and_a_refused_file_can_be_named(home: Home) -> None:
    batch = take_in(home, csv_text([row("a"), row(f"{PLANTED} Smith")])).batch_id
    refused = take_in(home, f"record_id,age_years\n{PLANTED},30\n".encode(), "no time.csv")
    assert refused.refusal
    unclear = take_in(home, f"{PLANTED}\0\0\0".encode() * 200, "odd.csv")
    assert unclear.refusal
    take_in(home, b"record_id,age_years\nb,30\n", "of others.csv")
    found = find(home, Named("north", f"{PLANTED} Smith", None))
    assert found.arrivals.rows() == [(batch, 2)]
    named = Named("north", PLANTED, None, ((batch, 2), (unclear.batch_id, WHOLE_FILE)))
    with opened(home, "test") as connection:
        withdrawal.check_refused(connection, named)
        with pytest.raises(WarehouseRefused, match="no such refused"):
            withdrawal.check_refused(connection, Named("north", None, None, ((batch, 1),)))
        with pytest.raises(WarehouseRefused, match="no such refused"):
            withdrawal.check_refused(connection, Named("south", None, None, ((batch, 2),)))
    assert find(home, Named("north", PLANTED)).unclear == (unclear.batch_id,)
    assert set(erase(home, named).refused_files) == {refused.batch_id, unclear.batch_id}
    erasure.go_on(home)
    assert left(home) == []
    assert len(list(home.archive.iterdir())) == 2


def test_a_file_whose_format_cannot_be_rewritten_is_destroyed_and_says_so(home: Home) -> None:
    cells = pl.DataFrame(
        {
            "record_id": ["a", ID],
            "submitted_at": ["2026-01-02T10:00:00Z"] * 2,
            "notes": ["", PLANTED],
            "age_years": [30, 31],
        }
    )
    workbook = home.root.parent / "made.xlsx"
    from openpyxl import Workbook

    book = Workbook()
    for line in [cells.columns, *cells.rows()]:
        book.active.append(list(line))
    book.save(workbook)
    content = workbook.read_bytes()
    assert take_in(home, content, "intake.xlsx").accepted == 2
    erase(home)
    erasure.go_on(home)
    assert left(home) == []
    assert list(home.archive.iterdir()) == []
    kept = ask(home, "SELECT record_id, destroyed FROM intake_valid JOIN withdrawn_file USING (batch_id)")
    assert kept == [("a", True)]
    assert take_in(home, content, "intake.xlsx").received == 2  # known still, and not kept
    assert list(home.archive.iterdir()) == []


@pytest.mark.parametrize(
    ("encoding", "line_end", "mark"),
    [
        ("utf-8", "\n", b""),
        ("utf-8", "\r\n", b"\xef\xbb\xbf"),
        ("utf-16-le", "\r\n", b"\xff\xfe"),
        ("windows-1252", "\n", b""),
    ],
)
def test_a_rewritten_file_has_the_old_bytes_but_for_the_record(
    tmp_path: Path, encoding: str, line_end: str, mark: bytes
) -> None:
    rows = [
        row("a", notes="Jürgen"),
        row("b", notes='say ""no""'),
        row("c", notes="x\ny"),
        row("d").rstrip("\n") + "\n",
    ]
    old = tmp_path / "old"

    def written(kept: list[str]) -> bytes:
        return mark + (HEADER + "".join(kept)).replace("\n", line_end).encode(encoding)

    old.write_bytes(written(rows))
    new = rewriting.without_records(old, [3])
    assert new and new.records == 3
    assert new.file.read_bytes() == written([rows[0], rows[1], rows[3]])


@pytest.mark.parametrize("layout", ["lines", "list"])
def test_json_files_lose_a_record_too(tmp_path: Path, layout: str) -> None:
    records = [{"record_id": name, "notes": "ü", "age_years": place} for place, name in enumerate("abc")]
    old = tmp_path / "old"
    old.write_text("\n".join(map(json.dumps, records)) if layout == "lines" else json.dumps(records))
    new = rewriting.without_records(old, [2])
    assert new
    read = new.file.read_text()
    kept = [json.loads(line) for line in read.splitlines()] if layout == "lines" else json.loads(read)
    assert kept == [records[0], records[2]]


def test_the_same_bytes_of_another_clinic_stay_that_clinics(home: Home) -> None:
    content = csv_text([row("a"), row(ID)])
    take_in(home, content, clinic="north")
    take_in(home, content, clinic="south")
    erase(home)
    erasure.go_on(home)
    assert (home.archive / hashlib.sha256(content).hexdigest()).read_bytes() == content
    assert ask(home, "SELECT clinic_id FROM intake_valid WHERE record_id = 'Zorblax-17'") == [("south",)]


def test_no_table_is_unknown_to_withdrawal(home: Home) -> None:
    with opened(home, "test") as connection:
        tables = {
            name
            for (name,) in connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()
        }
        by_place, by_key = set(tables_with(connection, PLACE)), set(tables_with(connection, KEY))
        assert tables == by_place | by_key | HOLDS_NO_RECORD
        assert not HOLDS_NO_RECORD & (by_place | by_key)
        connection.execute("CREATE TABLE letters (whose VARCHAR)")
        with pytest.raises(WarehouseRefused, match="letters"):
            look(connection, home, Named("north", "a"), in_files=False)
        connection.execute("DROP TABLE letters")


def test_hashes_in_columns_are_those_of_the_standard_library(home: Home) -> None:
    secret = bytes(range(32))
    values = ["", "a", "é\x1f\x00b", "x" * 200]
    frame = pl.DataFrame({"clinic": ["north"] * 4, "value": values}).to_arrow()
    with duckdb.connect() as connection:
        connection.register("given", frame)
        found = connection.execute(
            f"SELECT {withdrawn.hashed('record', 'clinic', 'value')} FROM given", withdrawn.padding(secret)
        ).fetchall()
    assert [hash_ for (hash_,) in found] == [withdrawn.keyed_hash(secret, "record", "north", value) for value in values]


@pytest.mark.parametrize("damage", [lambda key: key.unlink(), lambda key: key.write_text("00" * 32)])
def test_without_the_key_of_the_hashes_nothing_is_taken_in(filled: Home, damage: Any) -> None:
    erase(filled)
    erasure.go_on(filled)
    damage(filled.root / "withdrawal.key")
    with pytest.raises(WarehouseRefused, match=r"withdrawal\.key"):
        take_in(filled, csv_text([*FIRST, row("n9")]))


def withdraw(*arguments: str) -> Result:
    """The command in this process; it must not get as far as publishing."""
    return CliRunner().invoke(command, [*arguments, "--by", "Dr Adams", "--reason", "patient_request"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([f"north/{ID}"], 0, "to restrict in clinic north: 1 record, which arrived 5 times in 3 files; 1 decision"),
        ([f"north/{ID}", "--how", "erase"], 4, "a clinician has decided on it"),
        ([f"north/{ID}", "--how", "erase", "--even-decided"], 0, "which arrived 8 times in 3 files"),
        (["north/n4"], 0, "to erase in clinic north: 1 record, which arrived 1 time in 1 file; 0 decisions"),
        (["north", "--patient-key", "p4"], 0, "1 record, which arrived 1 time"),
        (["north/nobody", "--yes"], 2, "no such record"),
        (["north/n4", "--lift", "--yes"], 2, "nothing of the kind"),
        (["north"], 2, "name a record"),
        (["North/n4"], 2, "a clinic id"),
        (["north/n4", "--refused", "nothing:1", "--yes"], 4, "no such refused record"),
        (["north/n1", "--how", "restrict", "--refused", "x:y"], 2, "name a refused record"),
    ],
)
def test_the_command_says_in_counts_what_it_would_do(
    made: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.setenv("HIPTRIAGE_HOME", str(made))
    done = withdraw(*arguments)
    assert (done.exit_code, said in done.output) == (code, True), done.output
    assert PLANTED not in done.output
    assert ask(Home(made), "SELECT count(*) FROM withdrawal") == [(0,)]


def test_the_command_withdraws_and_the_file_in_the_landing_folder_brings_nothing_back(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialised: list[list[str]] = []

    def in_turn(_: Path, batch_ids: list[str]) -> None:
        materialised.append(batch_ids)
        published(home)

    monkeypatch.setattr(materialise, "materialise", in_turn)  # Dagster and a model take seconds
    (home.root / "settings.toml").write_text('data_kind = "sample"\n')
    (home.landing / "north").mkdir()
    (home.landing / "north" / "theirs.csv").write_bytes(
        csv_text([row("a"), row(ID, notes=PLANTED), of_record(age="x")])
    )
    with holding(home, "test"):
        landing.take_in(home)
        (batch,) = sources.pending_batches(home)
        assert intake.load(home, batch).quarantined == 1
    said = [withdraw(f"north/{ID}", "--yes"), CliRunner().invoke(run)]
    assert [done.exit_code for done in said] == [0, 0], said
    assert materialised[0] == []
    assert "1 file of the landing folder still holds what was erased" in said[0].output
    assert not any(PLANTED in done.output for done in said)
    assert {file for file, _ in left(home)} == {"landing/north/theirs.csv"}


def codes(home: Home, counts: ledger.Reconciled) -> dict[int, str]:
    found = ask(
        home, f"SELECT record_number, problems[1].code FROM intake_quarantine WHERE batch_id = '{counts.batch_id}'"
    )
    return dict(found)


NAMED_AGAIN = [
    f"{ID},,{PLANTED} short\n",
    f",{ID},2026-01-02T10:00:00Z,30,1,,{PLANTED},moved by one\n",
    f'"{ID}\u200b",\u200b,{PLANTED}\n',
    row(f"\u200b{ID}\u2060\ufeff", notes=PLANTED),
]


def test_however_a_new_file_names_what_was_erased_nothing_of_it_is_kept(home: Home) -> None:
    take_in(home, csv_text([row("n1"), row(ID), row("30")]))
    erase(home)
    erase(home, Named("north", "30"))
    erasure.go_on(home)
    others = ["n2,,too short,30\n", row("n3", notes=f"brother of {ID}, see there")]
    counts = take_in(home, csv_text([*NAMED_AGAIN, *others]), f"{PLANTED} Smith.csv")
    # The ragged form of somebody aged 30 is not that of the record 30.
    assert codes(home, counts) == dict.fromkeys(range(1, 5), "withdrawn") | {5: "cell_count"}
    assert (counts.accepted, counts.quarantined, counts.withdrawn) == (1, 5, 4)
    assert "; 4 of the quarantined were withdrawn before" in ledger.sentence(counts)
    assert ledger.counts_of(home, counts.batch_id) == counts
    assert ask(home, f"SELECT original_name FROM intake_file WHERE batch_id = '{counts.batch_id}'") == [("",)]
    erasure.go_on(home)
    # What somebody else wrote in a note of their own is theirs, wherever that note is kept.
    of_others = {"content", "intake_raw.record_text", "intake_lineage.record_text", "intake_note.note"}
    assert {place for _, place in left(home)} == of_others
    assert [
        text for (text,) in ask(home, f"SELECT record_text FROM intake_raw WHERE contains(record_text, '{ID}')")
    ] == [others[1].rstrip("\n")]


WITH_CLINIC = "record_id,clinic_id,submitted_at,age_years\n"


def test_a_record_is_known_under_the_clinic_of_its_row_and_of_its_folder(home: Home) -> None:
    def of(*named: tuple[str, str]) -> bytes:
        return (WITH_CLINIC + "".join(f"{id_},{clinic},2026-01-02T10:00:00Z,30\n" for id_, clinic in named)).encode()

    take_in(home, of((ID, "north"), ("n1", "south")), clinic="")
    assert erase(home).arrivals.height == 1
    erasure.go_on(home)
    several = take_in(
        home, of((ID, "north"), (ID, "south"), ("n2", "south"), (ID, "")) + f"{ID},north\n".encode(), clinic=""
    )
    assert codes(home, several) == {1: "withdrawn", 4: "missing_key", 5: "withdrawn"}
    folder = take_in(home, of((ID, "south"), ("n3", "")), "in folder.csv")
    assert codes(home, folder) == {1: "withdrawn"}


def test_a_new_form_whose_time_cannot_be_read_is_no_form_of_before_the_erasure(home: Home) -> None:
    take_in(home, csv_text([row("a", person="p")]))
    erase(home, Named("north", None, "p"))
    erasure.go_on(home)
    odd = row("b", person="p").replace("2026-01-02", "2026-13-01")
    counts = take_in(home, csv_text([odd, row("c", person="p")]), "2.csv")
    assert codes(home, counts) == {1: "bad_time", 2: "withdrawn"}


def test_an_erasure_is_lifted_whole_or_not_at_all(home: Home) -> None:
    take_in(home, csv_text([row("a", person="p"), row("b", person="p"), "a,p\n", row("c", person="other")]))
    person, one = Named("north", None, "p"), Named("north", "a")
    erase(home, person)
    erase(home, Named("north", "c"))
    with opened(home, "test") as connection:
        with pytest.raises(WarehouseRefused, match="--patient-key"):
            withdrawal.lift(connection, home, look(connection, home, one, in_files=False), AGREED)
        found = look(connection, home, person, in_files=False)
        assert withdrawal.can_be_lifted(connection, home, found)
        assert withdrawal.lift(connection, home, found, AGREED) == 4  # the person, two records, a text
        assert not withdrawal.can_be_lifted(connection, home, found)
    erasure.go_on(home)
    again = take_in(home, csv_text([row("a", person="p"), "a,p\n", row("c")]), "2.csv")
    assert codes(home, again) == {2: "cell_count", 3: "withdrawn"}


def test_a_person_can_be_shown_again_though_a_record_came_since(home: Home) -> None:
    take_in(home, csv_text([row("a", person="p")]))
    person = Named("north", None, "p")
    with opened(home, "test") as connection:
        withdrawal.restrict(connection, home, look(connection, home, person, in_files=False), AGREED)
    take_in(home, csv_text([row("b", person="p")]), "2.csv")
    with opened(home, "test") as connection:
        found = look(connection, home, person, in_files=False)
        assert withdrawal.can_be_lifted(connection, home, found)
        assert withdrawal.lift(connection, home, found, AGREED) == 1


@pytest.mark.parametrize("lifted", [False, True])
def test_an_earlier_table_does_not_come_back_after_a_withdrawal(home: Home, lifted: bool) -> None:
    take_in(home, csv_text([row("a"), row("b", age="x")]))
    with opened(home, "test") as connection:
        found = look(connection, home, Named("north", "b"), in_files=False)
        if lifted:
            withdrawal.restrict(connection, home, found, AGREED)
    before = published(home)
    snapshots.reinstate(home, before.snapshot_id, {})
    with opened(home, "test") as connection:
        (withdrawal.lift if lifted else withdrawal.restrict)(connection, home, found, AGREED)
    with pytest.raises(snapshots.NotReinstated, match="withdrawn or shown again"):
        snapshots.reinstate(home, before.snapshot_id, {})


def test_a_confirmed_condition_counts_as_decided(home: Home) -> None:
    take_in(home, csv_text([row("a"), row("b")]))
    outcomes = "record_id,submitted_at,recorded_at,attended,confirmed_condition,found_by\n" + "".join(
        f"{name},2026-01-02T10:00:00Z,2026-01-09T10:00:00Z,yes,{condition}\n"
        for name, condition in (("a", "septic_arthritis,laboratory"), ("b", ","))
    )
    assert take_in(home, outcomes.encode(), "outcomes.csv").accepted == 2
    assert [find(home, Named("north", name), in_files=False).decided for name in "ab"] == [1, 0]


def test_a_batch_that_cannot_be_tried_again_keeps_the_others_from_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    destroyed = take_in(home, f"record_id,age_years\n{ID},30\n".encode(), "no time.csv")
    assert replay.waiting(home) == [destroyed.batch_id]
    erase(home)
    erasure.go_on(home)
    assert replay.waiting(home) == []
    assert ask(home, "SELECT count(*) FROM intake_refused_file") == [(0,)]
    lost, kept = (take_in(home, csv_text([row(name, age="x")]), f"{name}.csv").batch_id for name in "ab")
    ((sha256,),) = ask(home, f"SELECT sha256 FROM intake_file WHERE batch_id = '{lost}'")
    (home.archive / sha256).unlink()
    published(home)
    processed: list[Home] = []
    monkeypatch.setattr("pipelines.commands.run.process", processed.append)
    done = CliRunner().invoke(quarantine, ["replay"])
    assert done.exit_code == 4
    assert f"{lost}: not tried: the archived copy of the file is gone" in done.output
    assert f"{kept}: 1 tried again" in done.output
    assert "1 of 2 batches could not be tried" in done.output
    assert len(processed) == 1
