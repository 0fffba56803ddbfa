"""What is published beside the referrals: what clinicians sent, what could not be read, rules and advice."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
import pytest

from models.basis import load_basis
from pipelines.console import unread_sentence
from pipelines.published_about import about as publication_of
from schemas.added_tables import ADDED_TABLES
from tests.published_home import about, at, published, take_in
from warehouse import intake, publication, replay, retention
from warehouse.home import Home
from warehouse.ledger import Reconciled
from warehouse.publication import PublishedAdvice, PublishedRule
from warehouse.snapshot_files import facts_of
from warehouse.snapshot_reading import UNASSIGNED, Snapshot, connect, current_snapshot
from warehouse.snapshots import publish
from warehouse.sources import register
from warehouse.store import opened
from warehouse.withdrawing.tables import WHOLE_FILE

NO_TIME = "record_id,side\nCANARY,left\n"  # refused whole: nobody can tell when it was filled in
BUT_READ = "record_id,clinic_id,submitted_at\nq,{},2026-01-05T08:00:00+00:00\n"
RULE = PublishedRule(
    id="septic",
    text="fever and cannot walk",
    tier="emergency",
    clock_hours=None,
    destination="emergency department",
    first_imaging="ultrasound",
    source="source A",
    signed_by=None,
    signed_on=None,
)
ADVICE = PublishedAdvice(id="a1_ice", text="Ice.", article="Hip Joint Pain in Runners", numbers="")
KNOWN = {"rules": (RULE,), "advice": (ADVICE,)}


def decided(day: float, record: str = "a", **said: Any) -> dict[str, Any]:
    """A decision row, decided ``day`` days after the start."""
    return {
        "record_id": record,
        "submitted_at": at(0),
        "decided_at": at(day).isoformat(),
        "decided_by": "Dr Ada",
        "status": "booked",
        "decided_tier": "",
        "reason": "",
    } | said


def came(day: float, record: str = "a", **said: Any) -> dict[str, Any]:
    """An outcome row, recorded ``day`` days after the start."""
    return {
        "record_id": record,
        "submitted_at": at(0),
        "recorded_at": at(day).isoformat(),
        "attended": "yes",
        "confirmed_condition": "labral_tear",
        "found_by": "imaging",
    } | said


def send(home: Home, content: str, folder: Path, clinic: str = "north") -> Reconciled:
    """Land a file as it is, under one and the same name."""
    file = folder / f"Jane Canary {clinic}.csv"
    file.write_text(content, "utf-8")
    batch, _ = register(home, file, clinic=clinic, data_kind="sample")
    return intake.load(home, batch.batch_id)


def restrict(home: Home, clinic: str, record: str) -> None:
    with opened(home, "test") as connection:
        connection.execute(
            "INSERT INTO withdrawn_record VALUES (?, ?, 'restrict', ?)", [clinic, record, datetime.now(UTC)]
        )


def rows(home: Home, sql: str, clinic: str | None = None) -> list[tuple[Any, ...]]:
    with connect(current_snapshot(home), clinic) as connection:
        return connection.execute(sql).fetchall()


def refused_files(home: Home) -> dict[str, int]:
    """Clinics of the newest snapshot that have files of which nothing could be read."""
    snapshot = current_snapshot(home)
    counts = {clinic: snapshot.refused_files(clinic) for clinic in snapshot.files}
    assert sum(counts.values()) == snapshot.refused_files()
    assert counts == {clinic: len(rows(home, "FROM refused_files", clinic)) for clinic in snapshot.files}
    return {clinic: count for clinic, count in counts.items() if count}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two clinics whose clinicians answered, and files of which nothing could be read."""
    folder = tmp_path_factory.mktemp("made")
    home = Home(folder / "home")
    take_in(home, "north", [{"record_id": record, "submitted_at": at(0)} for record in "abc"], folder)
    take_in(home, "south", [{"record_id": "a", "submitted_at": at(0)}], folder)
    take_in(home, "north", [decided(2, decided_tier="soon", reason="telephone"), decided(1, status="nonsense")], folder)
    take_in(home, "north", [decided(1, status="acknowledged"), decided(1, "b"), decided(1, "formless")], folder)
    take_in(home, "", [decided(3, clinic_id="?"), decided(3, "", clinic_id="south")], folder)
    take_in(home, "north", [came(2), came(1, attended="no", confirmed_condition="", found_by=""), came(1, "c")], folder)
    take_in(home, "north", [came(1, "c", attended="CANARY")], folder)
    send(home, NO_TIME, folder)
    send(home, NO_TIME + "b,right\n", folder, "east")  # and nothing else ever came from there
    send(home, "CANARY", folder, "")
    published(home, **KNOWN)
    return home


@pytest.fixture
def copied(made: Home, home: Home) -> Home:
    shutil.copytree(made.root, home.root, symlinks=True, dirs_exist_ok=True)
    return home


EXPECTED = {
    # every row that could be read: the superseded one too, and one whose form never came
    "record_id, decided_at, status, decided_tier, reason FROM decisions ORDER BY ALL": [
        ("a", at(1), "acknowledged", None, None),
        ("a", at(2), "booked", "soon", "telephone"),
        ("b", at(1), "booked", None, None),
        ("formless", at(1), "booked", None, None),
    ],
    "DISTINCT clinic_id, submitted_at, decided_by, received_at > submitted_at, length(file_sha256) FROM decisions": [
        ("north", at(0), "Dr Ada", True, 64)
    ],
    "record_id, recorded_at, attended, confirmed_condition, found_by FROM outcomes ORDER BY ALL": [
        ("a", at(1), False, None, None),
        ("a", at(2), True, "labral_tear", "imaging"),
        ("c", at(1), True, "labral_tear", "imaging"),
    ],
    "clinic_id, contents, record_id, error_codes, record_number FROM unread_follow_up ORDER BY ALL": [
        (UNASSIGNED, "decision", "a", ["bad_key"], 1),
        ("north", "decision", "a", ["not_a_choice"], 2),
        ("north", "outcome", "c", ["not_a_choice"], 1),
        ("south", "decision", None, ["missing_key"], 2),
    ],
    "clinic_id, refusal, length(file_sha256) FROM refused_files ORDER BY ALL": [
        (UNASSIGNED, "no_header", 64),
        ("east", "missing_column", 64),
        ("north", "missing_column", 64),
    ],
    # once, though every clinic's file holds them
    "id, tier, clock_hours, source, signed_by FROM rules": [("septic", "emergency", None, "source A", None)],
    "id, text, article FROM advice": [("a1_ice", "Ice.", "Hip Joint Pain in Runners")],
    "count(*) FROM safety_concerns": [(0,)],
    "count(*) FROM unread_forms": [(0,)],
}


@pytest.mark.parametrize("query", EXPECTED)
def test_what_clinicians_sent_and_what_could_not_be_read_is_published(made: Home, query: str) -> None:
    assert rows(made, f"SELECT {query}") == EXPECTED[query]


def described(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    """Columns and types in order."""
    found = connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {table})").fetchall()
    return [(name, kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")) for name, kind in found]


def test_the_tables_have_the_declared_columns_and_types_and_no_refused_cell(made: Home) -> None:
    for file in current_snapshot(made).files.values():
        with duckdb.connect(file, read_only=True) as connection:
            for table, declared in ADDED_TABLES.items():
                assert described(connection, table) == list(declared.items())
                assert "CANARY" not in str(connection.execute(f"FROM {table}").fetchall())


def test_withdrawn_records_are_in_none_of_them(copied: Home) -> None:
    for clinic, record in (("north", "a"), ("north", "c")):
        restrict(copied, clinic, record)
    assert published(copied, **KNOWN).linked == 2
    for table in ("decisions", "outcomes", "unread_follow_up", "referrals", "lineage"):
        found = rows(copied, f"SELECT DISTINCT record_id FROM {table}", "north")
        assert not {record for (record,) in found} & {"a", "c"}, table


Change = Callable[[Home, Path], Any]
CHANGES: list[tuple[str, Change, set[str]]] = [
    ("nothing", lambda home, folder: None, set()),
    ("a decision that does not stand", lambda h, f: take_in(h, "north", [decided(0.5)], f), {"north"}),
    ("the same decision again", lambda h, f: take_in(h, "north", [decided(1, "b"), decided(1, "b")], f), set()),
    (
        "an older outcome",
        lambda h, f: take_in(h, "south", [came(0.5, attended="no", confirmed_condition="")], f),
        {"south"},
    ),
    ("a refused decision", lambda h, f: take_in(h, "south", [decided(5, decided_at="x")], f), {"south"}),
    ("a refused file", lambda h, f: send(h, "record_id\nz\n", f, "south"), {"south"}),
    ("a refused file of no clinic", lambda h, f: send(h, "CANARY CANARY", f, ""), {UNASSIGNED}),
    ("a refused file of a new clinic", lambda h, f: send(h, NO_TIME + "d,left\n", f, "west"), {"west"}),
    ("a refused file dealt with", lambda h, f: dismissed(h, "north"), {"north"}),
    ("a refused row dealt with", lambda h, f: dismissed(h, "south", 2), {"south"}),
    ("a record withdrawn that only decisions name", lambda h, f: restrict(h, "north", "formless"), {"north"}),
    ("an archived file that lost a record", lambda h, f: rewritten(h), {"north"}),
]


def dismissed(home: Home, clinic: str, number: int = WHOLE_FILE) -> None:
    """Somebody deals with what was refused of a clinic: the file, or record ``number`` of a file."""
    table = "intake_unread_file" if number == WHOLE_FILE else "intake_waiting"
    with opened(home, "test") as connection:
        where = "f.clinic = ?" if number == WHOLE_FILE else "clinic_id = ? AND record_number = ?"
        bound = [clinic] if number == WHOLE_FILE else [clinic, number]
        ((batch,),) = connection.execute(
            f"SELECT batch_id FROM {table} JOIN intake_file f USING (batch_id) WHERE {where}", bound
        ).fetchall()
    replay.dismiss(home, batch, number, by="Ada", reason="telephoned")


def rewritten(home: Home) -> None:
    with opened(home, "test") as connection:
        connection.execute(
            "UPDATE intake_file SET sha256 = repeat('0', 64) WHERE batch_id IN "
            "(SELECT batch_id FROM outcome WHERE clinic_id = 'north')"
        )


def fingerprints(home: Home) -> dict[str, str]:
    with publication.assembling(home) as cursor:
        contents = publication.clinic_contents(cursor, home.settings(), about(**KNOWN))
    return {clinic: content.fingerprint for clinic, content in contents.items()}


def test_every_change_gives_its_clinic_a_new_file_and_no_other(copied: Home, tmp_path: Path) -> None:
    before = fingerprints(copied)
    for name, change, clinics in CHANGES:
        change(copied, tmp_path)
        after = fingerprints(copied)
        assert {clinic for clinic in after if after[clinic] != before.get(clinic)} == clinics, name
        before = after


def test_a_snapshot_made_before_has_them_empty(copied: Home) -> None:
    snapshot = current_snapshot(copied)
    as_made_before(snapshot)
    old = current_snapshot(copied)
    assert old.refused_files() == 0 and "at all" not in unread_sentence(old)
    for clinic in (None, "north", UNASSIGNED):
        with connect(old, clinic) as connection:
            for table, declared in ADDED_TABLES.items():
                assert connection.execute(f"FROM {table}").fetchall() == []
                assert described(connection, table) == list(declared.items())
            assert connection.execute("SELECT count(*) FROM referrals").fetchall() != [(0,)] or clinic == UNASSIGNED
    # What is published over it has them.
    assert published(copied, **KNOWN).linked == 0
    assert rows(copied, "SELECT count(*) FROM decisions") == [(4,)] and refused_files(copied)["east"] == 1


def test_clinics_written_before_and_after_are_read_together(copied: Home) -> None:
    as_made_before(current_snapshot(copied), "south")
    assert rows(copied, "SELECT count(*) FROM decisions") == [(4,)]
    assert rows(copied, "SELECT id FROM rules") == [("septic",)]


def as_made_before(snapshot: Snapshot, *clinics: str) -> None:
    """Make a snapshot what it would be without these tables: in the files, and in what the manifest says of them."""
    manifest = json.loads((snapshot.path / "manifest.json").read_text())
    for clinic in clinics or snapshot.files:
        entry, file = manifest["clinics"][clinic], snapshot.files[clinic]
        file.chmod(0o600)
        with duckdb.connect(file) as connection:
            for table in ADDED_TABLES:
                connection.execute(f"DROP TABLE {table}")
                del entry["rows"][table]
        del entry["refused_files"]
        entry["fingerprint"] = "of the program before"
        entry["files"][file.name] = facts_of(file)
    (snapshot.path / "manifest.json").chmod(0o600)
    (snapshot.path / "manifest.json").write_text(json.dumps(manifest))


# Files of which nothing could be read


REFUSED_CASES: list[tuple[str, list[tuple[str, str]], list[str]]] = [
    # name, (clinic folder, content) in turn, the clinics that are told of a file
    ("of a clinic", [("north", NO_TIME)], ["north"]),
    ("of none", [("", NO_TIME)], [UNASSIGNED]),
    ("two", [("north", NO_TIME), ("north", NO_TIME + "b,left\n")], ["north", "north"]),
    ("the same bytes again", [("north", NO_TIME), ("north", NO_TIME)], ["north"]),
    ("the same bytes of two clinics", [("north", NO_TIME), ("south", NO_TIME)], ["north", "south"]),
    ("without a clinic first", [("", NO_TIME), ("north", NO_TIME)], ["north"]),
    ("without a clinic later", [("north", NO_TIME), ("", NO_TIME)], ["north"]),
    ("a mended file is another file", [("north", NO_TIME), ("north", BUT_READ.format("{clinic}"))], ["north"]),
    ("refused decisions", [("north", "record_id,decided_by,decided_tier\na,Ada,soon\n")], ["north"]),
]


def test_files_refused_whole_are_counted(home: Home, tmp_path: Path) -> None:
    home.ensure()
    case_of = {}
    for number, (_, sent, _) in enumerate(REFUSED_CASES):
        for folder, content in sent:
            clinic = folder and f"{folder}{number}"
            # other bytes than those of the other cases
            said = content.replace("{clinic}", clinic) + f"case{number},\n"
            case_of[hashlib.sha256(said.encode()).hexdigest()] = number
            send(home, said, tmp_path, clinic)
    with publication.assembling(home) as cursor:
        clinics = publication.clinic_contents(cursor, home.settings(), about())
        told = cursor.execute("SELECT sha256, clinic_id FROM refused_file ORDER BY clinic_id").fetchall()
    found: dict[int, list[str]] = {number: [] for number in range(len(REFUSED_CASES))}
    for sha256, clinic in told:
        assert clinic in clinics  # also one of which nothing could ever be read
        found[case_of[sha256]].append(clinic.rstrip("0123456789"))
    for number, (name, _, expected) in enumerate(REFUSED_CASES):
        assert found[number] == expected, name


def test_a_file_that_is_read_later_is_not_told_any_more(home: Home, tmp_path: Path) -> None:
    home.ensure()
    refused = [send(home, BUT_READ.format("north"), tmp_path, clinic) for clinic in ("north", "")]
    assert not any(counts.refusal for counts in refused)
    # as if no reader had taken them when they came
    with opened(home, "test") as connection:
        connection.execute("UPDATE intake_ledger SET event = 'refused', refusal = 'not_loaded'")
        for table in ("intake_valid", "intake_raw", "intake_disposition"):
            connection.execute(f"DELETE FROM {table}")
    publish(home, about=about())
    assert refused_files(home) == {"north": 1} and replay.waiting(home) == [refused[0].batch_id]
    # Read under the clinic's name or under none: the same bytes, so nothing of it is unknown any more.
    assert replay.replay(home, refused[1].batch_id).released == 1
    assert replay.waiting(home) == []
    published(home)
    assert refused_files(home) == {} and rows(home, "SELECT record_id FROM referrals") == [("q",)]


def test_a_file_that_somebody_dealt_with_is_told_no_more_and_can_still_be_withdrawn(home: Home, tmp_path: Path) -> None:
    home.ensure()
    batch = send(home, NO_TIME, tmp_path).batch_id
    published(home)
    with pytest.raises(replay.NothingQuarantined):
        replay.dismiss(home, batch, 1, by="Ada", reason="sent_again")
    replay.dismiss(home, batch, WHOLE_FILE, by="Ada", reason="sent_again")
    with pytest.raises(replay.NothingQuarantined):
        replay.dismiss(home, batch, WHOLE_FILE, by="Ada", reason="sent_again")
    published(home)
    assert refused_files(home) == {} and current_snapshot(home).clinics == () and replay.waiting(home) == []
    with opened(home, "test") as connection:
        assert connection.execute("SELECT count(*) FROM intake_refused_file").fetchall() == [(1,)]
        assert connection.execute("SELECT counts FROM audit WHERE event = 'dismissal'").fetchall() == [
            ('{"files": 1}',)
        ]
    later = datetime(2040, 1, 1, tzinfo=UTC)
    (home.root / "settings.toml").write_text("[retention]\narchive_days = 30\n")
    assert retention.purge(home, now=later).archived_files == 1


SENTENCES = [
    # files refused of north and of no clinic, unread forms of both, what is said to north
    (0, 0, 0, 0, "0 forms could not be read, 0 with an emergency answer."),
    (
        2,
        0,
        1,
        0,
        "2 files could not be read at all: nobody knows what is in them; hiptriage quarantine list. "
        "1 form could not be read, 0 with an emergency answer.",
    ),
    (
        0,
        1,
        0,
        1,
        "1 file (from no clinic's folder) could not be read at all: nobody knows what is in it; hiptriage quarantine "
        "list. 0 forms could not be read, 0 with an emergency answer. 1 form more, 0 with an emergency answer, name no "
        "clinic.",
    ),
    (
        1,
        1,
        0,
        0,
        "2 files (1 from no clinic's folder) could not be read at all: nobody knows what is in them; hiptriage "
        "quarantine list. 0 forms could not be read, 0 with an emergency answer.",
    ),
]


@pytest.mark.parametrize(("files", "unnamed_files", "unread", "unnamed", "said"), SENTENCES)
def test_files_that_could_not_be_read_at_all_are_said_first(
    files: int, unnamed_files: int, unread: int, unnamed: int, said: str
) -> None:
    entries = {
        "north": {"unread": unread, "unread_emergency": 0, "refused_files": files},
        "south": {"unread": 4, "unread_emergency": 1},  # as a snapshot of before
        UNASSIGNED: {"unread": unnamed, "unread_emergency": 0, "refused_files": unnamed_files},
    }
    snapshot = Snapshot("id", Path(), at(0), False, MappingProxyType({"clinics": entries}))
    assert unread_sentence(snapshot, "north") == said
    of_all = unread_sentence(snapshot)
    assert of_all.startswith(f"{files + unnamed_files} file") == bool(files + unnamed_files)
    assert of_all.endswith(f"{4 + unread + unnamed} forms could not be read, 1 with an emergency answer.")


# Knowledge


def test_every_rule_and_all_advice_that_a_row_may_name_is_published(tmp_path: Path) -> None:
    basis = load_basis(tmp_path)
    said = publication_of(basis)
    assert [rule.id for rule in said.rules] == [rule.id for rule in basis.rules.rules]
    emergencies = {rule.id for rule in said.rules if rule.tier == "emergency"}
    assert emergencies == set(said.emergency_rules)
    assert all(rule.text and rule.source and rule.destination for rule in said.rules)
    given = {item.id: item for item in basis.advice.self_care if item.never_publish is None}
    assert {item.id for item in said.advice} == given.keys() and len(given) < len(basis.advice.self_care)
    titles = {article.title for article in basis.catalogue.articles.values()}
    assert {item.article for item in said.advice} <= titles
