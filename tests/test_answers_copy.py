"""The treating clinic's copy of stated answers: what it gives, and that it is in step with what is published."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.referral import referral_rows
from schemas.form import answer_columns, questions
from tests.published_home import at, published, take_in
from tests.referral_records import SCORED_AT, basis, scattered
from warehouse import answers_segments, answers_writing, backup, intake, replay, scores, snapshots, sources
from warehouse.answers_copy import Stated, as_records, stated
from warehouse.answers_segments import COLUMNS, MANIFEST, Segment, read_manifest
from warehouse.answers_writing import bring_up_to_date, finding, not_at_hand, with_small_ones
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.published_state import holds_everything
from warehouse.restoring import restore
from warehouse.scores import Versions
from warehouse.snapshot_reading import current_snapshot
from warehouse.store import NoRoom, opened
from warehouse.withdrawing import erasure, withdrawal
from warehouse.withdrawing.search import Named, look
from warehouse.withdrawing.terms import Agreed

VERSIONS = Versions("m1", "c1", "r1", "k1")
NOTE = 'Ring "Zorblax",\nplease; =1+1 \x1f é 🏃'
AGREED = Agreed("Dr Adams", "patient_request")


class Killed(BaseException):
    """The process is gone."""


def hash_of(home: Home, record_id: str, version: int = 1, clinic: str = "north") -> str:
    """The intake hash of a record's version, the newest first."""
    with opened(home, "test") as connection:
        ((intake_hash,),) = connection.execute(
            "SELECT intake_hash FROM intake_valid WHERE clinic_id = ? AND record_id = ? "
            "ORDER BY submitted_at DESC LIMIT 1 OFFSET ?",
            [clinic, record_id, version - 1],
        ).fetchall()
    return str(intake_hash)


def of(home: Home, record_id: str, version: int = 1) -> Stated | None:
    return stated(home, "north", record_id, hash_of(home, record_id, version))


def update(home: Home) -> None:
    with holding(home, "test"):
        bring_up_to_date(home)


def segments(home: Home, clinic: str = "north") -> list[Segment]:
    return read_manifest(home.answers / clinic)


def row(record_id: str, day: float = 0, **answers: Any) -> dict[str, Any]:
    return {"record_id": record_id, "submitted_at": at(day), **answers}


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


# --- What a reader is given ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A published home with records of two clinics, one of them in three versions that came in three files."""
    folder = tmp_path_factory.mktemp("read")
    home = Home(folder / "home")
    first = row("a", 0, age_years=31, sex="female", systemic__fever=1, weekly_km="40.25", notes=quoted(NOTE))
    take_in(home, "north", [first, row("b", 1, age_years=50, night_pain=0, patient_key="p")], folder)
    take_in(home, "north", [row("a", 4, age_years=32, systemic__fever=0, notes="\xa0")], folder)
    take_in(home, "north", [row("a", 2, age_years="", rest_pain=1, night_pain=1, completed_by="clinician")], folder)
    take_in(home, "south", [row("a", 3, age_years=70)], folder)
    published(home)
    return home


def test_a_version_states_its_own_answers_and_what_was_stated_before(read: Home) -> None:
    newest = of(read, "a")
    assert newest == Stated(
        answers={"age_years": 32, "systemic__fever": False},
        carried={
            "sex": ("female", at(0)),
            "weekly_km": (40.25, at(0)),
            "night_pain": (True, at(2)),
            "rest_pain": (True, at(2)),
        },
        notes=None,
    )
    second = of(read, "a", version=2)
    assert second is not None
    assert second.answers == {"completed_by": "clinician", "night_pain": True, "rest_pain": True}
    assert second.carried["age_years"] == (31, at(0)) and second.carried["systemic__fever"] == (True, at(0))
    first = of(read, "a", version=3)
    assert first is not None and first.carried == {}
    assert first.answers == {"age_years": 31, "sex": "female", "weekly_km": 40.25, "systemic__fever": True}
    assert first.notes == NOTE


def test_answers_stand_in_the_order_of_the_form_with_their_types(read: Home) -> None:
    found = of(read, "a", version=3)
    assert found is not None
    assert list(found.answers) == [column for column in questions() if column in found.answers]
    assert [type(answer) for answer in found.answers.values()] == [int, str, float, bool]
    other = of(read, "b")
    assert other is not None and other.answers == {"age_years": 50, "night_pain": False}  # and no patient key


@pytest.mark.parametrize(
    ("clinic", "record_id"),
    [
        ("south", "b"),  # another clinic's record
        ("east", "a"),
        ("north", "nobody"),
        ("../answers/north", "a"),
        ("north/../north", "a"),
        ("north\n", "a"),
        ("", "a"),
        (".", "a"),
        ("NORTH", "a"),
        ("north", "a' OR '1'='1"),
        ("north", "\ud800"),
        ("north\0", "a"),
    ],
)
def test_what_is_not_there_is_none_whatever_is_asked_for(read: Home, clinic: str, record_id: str) -> None:
    for name in ("a", "b"):
        assert stated(read, clinic, record_id, hash_of(read, name)) is None
        assert as_records(read, clinic, record_id, hash_of(read, name)) is None


def test_a_hash_of_another_record_or_clinic_is_none(read: Home) -> None:
    assert stated(read, "north", "a", hash_of(read, "b")) is None
    assert stated(read, "north", "a", "") is None
    assert stated(read, "south", "a", hash_of(read, "a")) is None
    found = stated(read, "south", "a", hash_of(read, "a", clinic="south"))
    assert found is not None and found.answers == {"age_years": 70} and found.carried == {}


def test_it_is_open_to_its_owner_alone_and_no_part_of_a_snapshot(read: Home) -> None:
    assert read.answers.stat().st_mode & 0o777 == 0o700
    for path in read.answers.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    assert not [path for path in read.snapshots.rglob("*") if "answers" in path.name or path.suffix == ".db"]


# --- The same records as scoring was given ---------------------------------------------------------------------------


def cells(records: pl.DataFrame) -> list[dict[str, Any]]:
    """Answers as they stand in a file."""
    text = records.select(
        pl.col(column).cast(pl.Int8).cast(pl.String) if records.schema[column] == pl.Boolean else pl.col(column)
        for column in answer_columns()
    )
    return [{column: cell for column, cell in one.items() if cell is not None} for one in text.to_dicts()]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Records of any answers in up to four versions, which came in four files in any order."""
    folder = tmp_path_factory.mktemp("drawn")
    home = Home(folder / "home")
    rng = np.random.default_rng(5)
    said = cells(scattered(120, 5))
    for one in said:
        one["weekly_km"] = repr(float(rng.uniform(0, 200)))  # every digit counts
    versions = [
        row(f"r{number % 40}", float(rng.permutation(1000)[0]) / 10 + number, **one) for number, one in enumerate(said)
    ]
    order = rng.permutation(len(versions))
    for part in np.array_split(order, 4):
        take_in(home, "north", [versions[place] for place in part], folder)
    update(home)
    return home


def scored_versions(home: Home) -> Iterator[tuple[pa.Table, pa.Table]]:
    with opened(home, "test") as connection:
        yield from scores.next_unscored(connection, VERSIONS)


def test_a_record_is_what_scoring_is_given_of_it(drawn: Home) -> None:
    compared = carried = 0
    for records, for_rules in scored_versions(drawn):
        for place, of_rules in enumerate(for_rules.to_pylist()):
            one = records.slice(place, 1).to_pylist()[0]
            pair = as_records(drawn, "north", one["record_id"], one["intake_hash"])
            assert pair is not None
            assert pair[0].schema == records.schema and pair[1].schema == for_rules.schema
            assert (pair[0].to_pylist(), pair[1].to_pylist()) == ([one], [of_rules])
            found = stated(drawn, "north", one["record_id"], one["intake_hash"])
            assert found is not None
            blank = {
                column: answer for column, answer in of_rules.items() if one[column] is None and answer is not None
            }
            assert {column: answer for column, (answer, _) in found.carried.items()} == blank
            compared, carried = compared + 1, carried + len(blank)
    assert compared == 120 and carried > 500


def test_a_what_if_without_a_change_gives_the_published_score(tmp_path: Path) -> None:
    """Over the bundled sample clinic, whose records came in several versions."""
    home = Home(tmp_path / "home")
    home.ensure()
    with resources.as_file(resources.files("warehouse").joinpath("bundled/sample-clinic.csv")) as file:
        batch, _ = sources.register(home, file, clinic="", data_kind="sample")
        intake.load(home, batch.batch_id)
    with opened(home, "test") as connection:
        for records, for_rules in scores.next_unscored(connection, VERSIONS):
            scores.write(connection, referral_rows(records, for_rules, basis(), scored_at=SCORED_AT))
        several = {
            record
            for (record,) in connection.execute(
                "SELECT clinic_id || '/' || record_id FROM intake_valid GROUP BY ALL HAVING count(*) > 1"
            ).fetchall()
        }
        kept = connection.execute(
            "SELECT * FROM referral_score ORDER BY clinic_id, record_id, submitted_at"
        ).to_arrow_table()
    update(home)
    pairs = []
    for one in kept.select(["clinic_id", "record_id", "intake_hash"]).to_pylist():
        pair = as_records(home, one["clinic_id"], one["record_id"], one["intake_hash"])
        assert pair is not None
        pairs.append(pair)
    assert len(pairs) > 300 and len(several) >= 10
    again = referral_rows(
        pa.concat_tables(records for records, _ in pairs),
        pa.concat_tables(for_rules for _, for_rules in pairs),
        basis(),
        scored_at=SCORED_AT,
    )
    of_all = [name for name in again.column_names if name not in ("priority_score", "differential", "reasons")]
    assert again.select(of_all).to_pylist() == kept.select(of_all).to_pylist()
    # One at a time, as the page asks: the whole row, to the last digit that a sum in another order keeps.
    for place in sorted(np.random.default_rng(1).choice(len(pairs), 3, replace=False)):
        alone = referral_rows(*pairs[place], basis(), scored_at=SCORED_AT).to_pylist()[0]
        then = kept.slice(int(place), 1).to_pylist()[0]
        for name in ("tier", "tier_basis", "tier_reason", "red_flags", "rule_status", "needs_review", "prediction_set"):
            assert alone[name] == then[name], name
        assert [one["condition"] for one in alone["differential"]] == [one["condition"] for one in then["differential"]]
        assert [one["probability"] for one in alone["differential"]] == pytest.approx(
            [one["probability"] for one in then["differential"]]
        )


# --- In step with what is published ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three files of one clinic, the first by far the largest. Made once; tests take a copy of it."""
    folder = tmp_path_factory.mktemp("made")
    home = Home(folder / "home")
    take_in(home, "north", [row(f"r{n}", n / 100, age_years=30, notes=f"note {n}") for n in range(40)], folder)
    update(home)
    for number in (1, 2):
        take_in(home, "north", [row(f"s{number}", number, age_years=40 + number)], folder)
        update(home)
    published(home)
    return home.root


@pytest.fixture
def filled(made: Path, home: Home) -> Home:
    """A home of its own with that content."""
    shutil.copytree(made, home.root, dirs_exist_ok=True)
    return home


def test_a_publication_writes_what_is_new_and_nothing_else(filled: Home, tmp_path: Path) -> None:
    large = max(segments(filled), key=lambda one: one.rows)
    assert [one.rows for one in segments(filled)] == [40, 2]  # the two small ones have become one
    before = {path: path.stat().st_mtime_ns for path in filled.answers.rglob("*")}
    update(filled)
    assert {path: path.stat().st_mtime_ns for path in filled.answers.rglob("*") if path.is_file()} == {
        path: time for path, time in before.items() if path.is_file()
    }
    take_in(filled, "north", [row("s3", 3, age_years=43)], tmp_path)
    take_in(filled, "south", [row("s3", 3, age_years=44)], tmp_path)
    update(filled)
    assert large in segments(filled) and (filled.answers / "north" / large.file) in before
    assert sum(one.rows for one in segments(filled)) == 43 and [one.rows for one in segments(filled, "south")] == [1]
    files = {path.name for path in (filled.answers / "north").iterdir()}
    assert files == {MANIFEST, *(one.file for one in segments(filled))}


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=60))
def test_a_clinic_has_few_files_and_a_row_is_seldom_written_again(arriving: list[int]) -> None:
    kept: list[Segment] = []
    written = 0
    for number, rows in enumerate(arriving):
        kept, batches = with_small_ones(kept, {f"b{number}": (rows, "")})
        total = sum(count for count, _ in batches.values())
        kept.append(Segment(f"{number}", 0, "", total, batches))
        written += total
    rows = sum(arriving)
    assert sorted(batch for one in kept for batch in one.batches) == sorted(f"b{n}" for n in range(len(arriving)))
    assert sum(one.rows for one in kept) == rows
    assert len(kept) <= rows.bit_length()
    # Each time a row is written again its file grows by half at least.
    assert written <= rows * (2 + np.log(rows) / np.log(1.5))
    assert with_small_ones(kept, {})[1] == {}


def test_a_replayed_record_appears_with_its_note(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("a", age_years=30, notes="mine"), row("b", 400, age_years=31, notes="later")]
    batch = take_in(home, "north", rows, tmp_path)  # b is from the future
    update(home)
    assert stated(home, "north", "b", "0") is None and segments(home)[0].rows == 1
    monkeypatch.setattr("schemas.contract.FUTURE_TOLERANCE", at(9000) - at(0))
    done = replay.replay(home, batch)
    assert (done.tried, done.released) == (1, 1)
    update(home)
    found = of(home, "b")
    assert found is not None and found.notes == "later"
    with opened(home, "test") as connection:
        notes = connection.execute(
            "SELECT batch_id, clinic_id, record_id, note FROM intake_note ORDER BY note"
        ).fetchall()
    assert notes == [(batch, "north", "b", "later"), (batch, "north", "a", "mine")]


def test_notes_are_kept_of_what_is_kept(home: Home, tmp_path: Path) -> None:
    rows = [
        row("a", 2, age_years=30, notes="newest"),
        row("a", 2, age_years=30, notes="newest"),  # a duplicate
        row("a", 1, age_years=30, notes="older"),  # superseded
        row("a", 2, age_years=31, notes="in conflict"),
        row("b", 1, age_years="x", notes="refused"),
        row("c", 1, age_years=30, notes="  "),
    ]
    take_in(home, "north", rows, tmp_path)
    with opened(home, "test") as connection:
        notes = connection.execute("SELECT record_number, note FROM intake_note ORDER BY ALL").fetchall()
        has = connection.execute("SELECT record_number, has_notes FROM intake_valid ORDER BY ALL").fetchall()
    assert notes == [(1, "newest"), (3, "older")]
    assert has == [(1, True), (3, True), (6, False)]


def withdrawn(home: Home, how: str, record_id: str) -> None:
    with opened(home, "test") as connection:
        found = look(connection, home, Named("north", record_id), in_files=True)
        getattr(withdrawal, how)(connection, home, found, AGREED)


def test_a_hidden_record_is_gone_until_it_is_shown_again(filled: Home) -> None:
    before = of(filled, "r7")
    intake_hash = hash_of(filled, "r7")
    withdrawn(filled, "restrict", "r7")
    update(filled)
    assert stated(filled, "north", "r7", intake_hash) is None
    assert of(filled, "r8") is not None
    assert not [path for path in filled.answers.rglob("*.db") if b"note 7" in path.read_bytes()]
    withdrawn(filled, "lift", "r7")
    update(filled)
    assert of(filled, "r7") == before is not None


def test_an_erased_record_lies_in_no_byte_of_the_copy(filled: Home) -> None:
    intake_hash = hash_of(filled, "r7")
    files = {path for path in filled.answers.rglob("*.db") if b"note 7" in path.read_bytes()}
    assert len(files) == 1
    withdrawn(filled, "erase", "r7")
    erasure.go_on(filled)
    with opened(filled, "test") as connection:
        assert connection.execute("SELECT count(*) FROM intake_note WHERE note = 'note 7'").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM intake_note").fetchone() == (39,)
    update(filled)
    assert stated(filled, "north", "r7", intake_hash) is None
    assert not files & set(filled.answers.rglob("*"))
    for path in filled.answers.rglob("*.db"):
        assert b"note 7" not in path.read_bytes() and intake_hash.encode() not in path.read_bytes()
    for name in ("r8", "r39"):  # records behind it in their file have other numbers now
        found = of(filled, name)
        assert found is not None and found.notes == f"note {name[1:]}"


def test_a_clinic_whose_last_record_went_has_no_folder(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [row("a", age_years=30)], tmp_path)
    take_in(home, "south", [row("b", age_years=30)], tmp_path)
    published(home)
    withdrawn(home, "restrict", "a")
    published(home)
    assert [entry.name for entry in home.answers.iterdir()] == ["south"]
    assert not_at_hand(home, current_snapshot(home)) == []


def test_an_erasure_that_the_gate_holds_back_takes_the_answers_all_the_same(
    filled: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: Any) -> None:
        raise Killed

    intake_hash = hash_of(filled, "r7")
    withdrawn(filled, "erase", "r7")
    monkeypatch.setattr(snapshots, "build", held)
    with pytest.raises(Killed):
        published(filled)
    assert stated(filled, "north", "r7", intake_hash) is None
    assert not [path for path in filled.answers.rglob("*.db") if b"note 7" in path.read_bytes()]


# --- Damage, kills, versions, backups --------------------------------------------------------------------------------


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    place = content.find(b"note 7")
    content[place + 5] ^= 1  # now it says note 6
    file.write_bytes(content)


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("harm", [Path.unlink, empty, flip, halve])
def test_a_damaged_segment_is_never_shown_and_made_again(filled: Home, harm: Any) -> None:
    before = of(filled, "r7")
    large = max(segments(filled), key=lambda one: one.rows)
    harm(filled.answers / "north" / large.file)
    assert of(filled, "r7") is None
    snapshot = current_snapshot(filled)
    assert not_at_hand(filled, snapshot) == ["north"]
    told = finding(filled, snapshot)
    assert told.state == "wrong" and "north" in told.sentence
    assert not holds_everything(filled, VERSIONS)  # so that a run with nothing new publishes
    published(filled)
    assert of(filled, "r7") == before is not None
    assert finding(filled, current_snapshot(filled)).state == "ok" and holds_everything(filled, VERSIONS)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": 1}', '{"format": 2, "shape": "", "segments": []}', None, "stale"],
)
def test_a_damaged_manifest_is_made_again(filled: Home, content: str | None) -> None:
    manifest = filled.answers / "north" / MANIFEST
    before = of(filled, "r7")
    if content is None:
        manifest.unlink()
    elif content == "stale":
        manifest.write_text(manifest.read_text().replace(answers_segments.shape(), "of another form"))
    else:
        manifest.write_text(content)
    assert of(filled, "r7") is None
    update(filled)
    assert of(filled, "r7") == before is not None


def test_a_manifest_cannot_lead_out_of_its_folder(filled: Home) -> None:
    manifest = filled.answers / "north" / MANIFEST
    file = segments(filled)[0].file
    shutil.copy(filled.answers / "north" / file, filled.root / file)
    manifest.write_text(manifest.read_text().replace(file, f"../../{file}"))
    assert of(filled, "r7") is None


def test_a_row_of_a_newer_segment_than_the_manifest_read_is_looked_for_again(
    filled: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publication between the manifest and its files."""
    stale, now = [Segment("0" * 16 + ".db", 1, "", 1, {})], segments(filled)
    said = iter([stale, now])
    monkeypatch.setattr("warehouse.answers_copy.read_manifest", lambda _: next(said))
    found = of(filled, "r7")
    assert found is not None and found.notes == "note 7"


# Each is one place where the process may vanish.
STEPS = [
    ("_fill", "before"),
    ("_fill", "after"),
    ("_written", "after"),
    ("_replace_manifest", "before"),
    ("_replace_manifest", "after"),
    ("_remove_others", "before"),
]


def test_a_kill_at_any_step_leaves_what_the_next_publication_ends(
    filled: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: of(filled, name) for name in ("r7", "s1", "s2")}
    erased = hash_of(filled, "r8")
    take_in(filled, "north", [row("new", 5, age_years=50, notes="of today")], tmp_path)
    withdrawn(filled, "erase", "r8")
    copied = tmp_path / "copied"
    shutil.copytree(filled.answers, copied)
    for step, when in STEPS:
        shutil.rmtree(filled.answers)
        shutil.copytree(copied, filled.answers)
        real = getattr(answers_writing, step)

        def dies(*given: Any, real: Any = real, when: str = when) -> None:
            if when == "after":
                real(*given)
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(answers_writing, step, dies)
            with pytest.raises(Killed):
                update(filled)
        assert {name: of(filled, name) for name in before} == before  # what was there is there for every reader
        update(filled)
        found = of(filled, "new")
        assert found is not None and found.notes == "of today"
        assert {name: of(filled, name) for name in before} == before
        assert stated(filled, "north", "r8", erased) is None
        files = {path.name for path in (filled.answers / "north").iterdir()}
        assert files == {MANIFEST, *(one.file for one in segments(filled))}


def test_notes_of_before_there_was_a_place_for_them_are_not_kept(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [row("a", age_years=30, notes="long ago")], tmp_path)
    with opened(home, "test") as connection:
        connection.execute("DROP TABLE intake_note")
        connection.execute("DELETE FROM warehouse_version")
        connection.execute("INSERT INTO warehouse_version VALUES (4)")
    shutil.rmtree(home.answers)
    update(home)
    found, pair = of(home, "a"), as_records(home, "north", "a", hash_of(home, "a"))
    assert found is not None and (found.answers, found.notes) == ({"age_years": 30}, None)
    assert pair is not None and pair[0]["has_notes"].to_pylist() == [True]


def test_a_backup_leaves_it_out_and_a_publication_after_a_restore_makes_it_again(filled: Home, tmp_path: Path) -> None:
    before = of(filled, "r7")
    made = backup.make(filled, tmp_path / "backups")
    assert not [name for name in made.manifest["files"] if name.startswith("answers/")]
    done = restore(filled, made.path, replace=True)
    assert done.aside is not None and (done.aside / "answers" / "north").is_dir()  # nothing of the old home is deleted
    assert of(filled, "r7") is None and not_at_hand(filled, current_snapshot(filled)) == ["north"]
    assert finding(filled, current_snapshot(filled)).state == "note"  # nothing is damaged
    assert not holds_everything(filled, VERSIONS)
    published(filled)
    assert of(filled, "r7") == before is not None


def test_a_full_disk_is_told_and_keeps_what_was_there(
    filled: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("PRAGMA max_page_count = 1")
            connection.execute("CREATE TABLE a (b)")
            connection.execute("CREATE TABLE c (d)")
        return 0

    before = of(filled, "r7")
    take_in(filled, "north", [row("new", 5, age_years=50)], tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(answers_writing, "_fill", full)
        with pytest.raises(NoRoom):
            published(filled)
    assert of(filled, "r7") == before is not None
    published(filled)
    assert of(filled, "new") is not None


def test_every_stored_column_has_its_place(read: Home) -> None:
    """What lies in a segment is what COLUMNS says: a column more would be one that nobody looked at."""
    (north, *_), folder = segments(read), read.answers / "north"
    with closing(sqlite3.connect(folder / north.file)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(version)")]
    assert tables == [("version",)] and columns == list(COLUMNS)
