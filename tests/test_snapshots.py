"""Snapshots: what is published, that a reader is never disturbed, and what is left when the publisher is killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.referral import referral_schema
from schemas.tiers import tiers
from tests.forked import KILLED, Commands
from tests.published_home import RULE, SECTION_6, about, at, mark_unread, published, score, score_again, take_in
from warehouse.home import Home
from warehouse.publish_gate import Override
from warehouse.snapshot_files import facts_of
from warehouse.snapshot_reading import (
    TABLES,
    ClinicUnknown,
    QueryRefused,
    SnapshotMissing,
    answering,
    connect,
    current_snapshot,
    worklist_view,
)
from warehouse.snapshots import publish
from warehouse.statements import answer
from warehouse.store import WarehouseRefused, opened, sql_type

ROOT = Path(__file__).parent.parent
NETS = {tier: (f"what to watch for, {tier}",) for tier in tiers()}


def rows(home: Home, sql: str, clinic: str | None = None) -> list[tuple[Any, ...]]:
    with connect(current_snapshot(home), clinic) as connection:
        return connection.execute(sql).fetchall()


def one(home: Home, column: str, record_id: str = "a") -> Any:
    ((value,),) = rows(home, f"SELECT {column} FROM referrals WHERE record_id = '{record_id}'")
    return value


def by_day(tier_of_day: dict[float, dict[str, Any]]) -> Any:
    """An override that gives each submission its own score."""
    return lambda record: next(
        (changed for day, changed in tier_of_day.items() if record["submitted_at"] == at(day)), {}
    )


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A published home with one record in each of two clinics."""
    folder = tmp_path_factory.mktemp("simple")
    home = Home(folder / "home")
    both = [{"clinic_id": clinic, "record_id": "a", "submitted_at": at(0)} for clinic in ("north", "south")]
    take_in(home, "", both, folder)
    published(home)
    return home


@pytest.fixture
def shown(simple: Home, home: Home) -> Home:
    """A copy of it for one test."""
    shutil.copytree(simple.root, home.root, symlinks=True, dirs_exist_ok=True)
    return home


def test_referrals_have_the_columns_and_types_of_the_contract(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [{"record_id": "a", "submitted_at": at(0), "notes": "hello", "patient_key": "p"}], tmp_path)
    result = published(home)
    found = rows(home, "SELECT column_name, column_type FROM (DESCRIBE referrals)")
    wanted = {field.name: sql_type(field.type) for field in referral_schema() if field.name != "clock_hours"}
    assert [name for name, _ in found] == SECTION_6
    assert {name: kind.replace('"', "").replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ") for name, kind in found} == {
        name: kind.replace('"', "") for name, kind in wanted.items()
    }
    assert pq.read_schema(result.path / "north.parquet").names == SECTION_6
    assert one(home, "status") == "open" and one(home, "effective_tier") == "routine" and one(home, "has_notes")


CLOCK_CASES = [
    # name, versions by day: (day, tier, clock hours), see-by in hours after day 0
    ("one version", [(0, "urgent", 336)], 336),
    ("a rule's clock is shorter than the tier's", [(0, "urgent", 72)], 72),
    ("a correction at the same tier", [(0, "urgent", 336), (3, "urgent", 336)], 336),
    ("a correction that takes the short clock away", [(0, "urgent", 72), (3, "urgent", 336)], 72),
    ("a correction that brings a shorter clock", [(0, "urgent", 336), (3, "urgent", 48)], 48),
    ("it gets worse: the clock starts when it did", [(0, "soon", 1008), (3, "urgent", 336)], 72 + 336),
    ("worse again: counted from the first time", [(0, "urgent", 336), (2, "soon", 1008), (4, "urgent", 336)], 336),
    ("it gets better: from the first, more urgent one", [(0, "same_day", 24), (3, "soon", 1008)], 1008),
    ("a rise never moves it later", [(0, "self_care", 1008), (3, "routine", 3024)], 1008),
    ("emergency", [(0, "soon", 1008), (5, "emergency", 0)], 120),
]


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One record a case, each with all its versions."""
    folder = tmp_path_factory.mktemp("clocks")
    home = Home(folder / "home")
    known = {(f"case{n}", at(day)): score for n, case in enumerate(CLOCK_CASES) for day, *score in case[1]}
    take_in(home, "north", [{"record_id": record, "submitted_at": when} for record, when in known], folder)

    def override(record: Mapping[str, Any]) -> dict[str, Any]:
        tier, clock = known[record["record_id"], record["submitted_at"]]
        return {"tier": tier, "clock_hours": clock}

    score(home, override)
    publish(home, about=about())
    return home


@pytest.mark.parametrize("number", range(len(CLOCK_CASES)), ids=[case[0] for case in CLOCK_CASES])
def test_see_by(clocks: Home, number: int) -> None:
    _, versions, hours = CLOCK_CASES[number]
    record = f"case{number}"
    assert one(clocks, "see_by", record) == at(0) + timedelta(hours=hours)
    assert one(clocks, "episode_started_at", record) == at(0)
    assert one(clocks, "submitted_at", record) == at(versions[-1][0])
    assert one(clocks, "tier", record) == versions[-1][1]


def test_the_clinics_own_routine_wait(home: Home, tmp_path: Path) -> None:
    (home.root / "settings.toml").write_text("[clinics.north]\nroutine_weeks = 30\n")
    records = {"plain": 3024, "rule": 504}
    rows_in = [{"record_id": record, "submitted_at": at(0)} for record in records]
    take_in(home, "north", rows_in, tmp_path)
    score(home, lambda record: {"clock_hours": records[record["record_id"]]})
    publish(home, about=about())
    assert one(home, "see_by", "plain") == at(0) + timedelta(weeks=30)
    assert one(home, "see_by", "rule") == at(0) + timedelta(weeks=3)


def test_earlier_red_flags_are_those_no_longer_stated(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [{"record_id": "a", "submitted_at": at(day)} for day in (0, 1, 2)], tmp_path)
    still = {**RULE, "id": "still"}
    score(home, by_day({0: {"red_flags": [RULE, still]}, 1: {"red_flags": [RULE]}, 2: {"red_flags": [still]}}))
    publish(home, about=about())
    assert one(home, "earlier_red_flags") == [{"id": "septic", "stated_at": at(1)}]


LINK_CASES = [
    # name, earlier records (day, pain now), pain now of the record on day 100, tier given, tier wanted, reason
    ("one earlier record, same pain", [(50, 5)], 5, "routine", "routine", None),
    ("worse pain within 12 weeks", [(50, 3)], 5, "routine", "soon", "worse pain"),
    ("worse pain, but long ago", [(1, 3)], 5, "routine", "routine", None),
    ("third record", [(50, 5), (60, 5)], 5, "self_care", "soon", "third"),
    ("third record, one long ago", [(1, 5), (60, 5)], 5, "self_care", "self_care", None),
    ("never lowered", [(50, 3)], 5, "urgent", "urgent", "worse pain"),
]


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One clinic a case, the same person in all of them: records of other clinics must not count."""
    folder = tmp_path_factory.mktemp("links")
    home = Home(folder / "home")
    rows_in = []
    for n, (_, earlier, pain, _, _, _) in enumerate(LINK_CASES):
        for day, was in [*earlier, (100, pain)]:
            record = {"record_id": "a" if day == 100 else f"e{day}", "submitted_at": at(day)}
            rows_in.append({"clinic_id": f"c{n}", "patient_key": "p", "pain_now": was, **record})
    take_in(home, "", rows_in, folder)
    score(home, lambda record: {"tier": LINK_CASES[int(record["clinic_id"][1:])][3], "review_reason": "thin"})
    publish(home, about=about(safety_net=NETS))
    return home


@pytest.mark.parametrize("number", range(len(LINK_CASES)), ids=[case[0] for case in LINK_CASES])
def test_records_of_one_person_are_linked(links: Home, number: int) -> None:
    _, earlier, _, given_tier, wanted, reason = LINK_CASES[number]
    columns = ["tier", "needs_review", "review_reason", "earlier_records", "tier_basis", "priority_score", "see_by"]
    ((tier, review, why, records, basis, points, see_by),) = rows(
        links, f"SELECT {', '.join(columns)} FROM referrals WHERE record_id = 'a'", f"c{number}"
    )
    assert tier == wanted
    assert review == (reason is not None)
    assert "thin" in why and (reason or "thin") in why
    assert [record["record_id"] for record in records] == [f"e{day}" for day, _ in reversed(earlier)]
    if wanted != given_tier:
        assert basis == "floor"
        assert points >= tiers()[wanted].score_from
        assert see_by == at(100) + timedelta(hours=1008)


def test_a_key_that_everybody_shares_does_not_multiply(home: Home, tmp_path: Path) -> None:
    many = [{"record_id": f"r{n}", "submitted_at": at(n / 100), "patient_key": "unknown"} for n in range(300)]
    take_in(home, "north", many, tmp_path)
    published(home, safety_net=NETS)
    assert rows(home, "SELECT max(len(earlier_records)), count(*) FROM referrals") == [(20, 300)]


def test_the_scores_of_the_versions_in_force_are_published(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [{"record_id": "a", "submitted_at": at(0)}], tmp_path)
    score(home, lambda _: {"tier": "soon"})
    score_again(home, lambda _: {"model_version": "m2", "tier": "urgent", "clock_hours": 336}, at(9))
    publish(home, about=about(model_version="m2"))
    assert one(home, "tier") == "urgent"
    # rolled back, which somebody put a name to: the older score stands again
    publish(home, about=about(), override=Override("Ada", "m2 was wrong"))
    assert (one(home, "tier"), one(home, "model_version")) == ("soon", "m1")
    assert rows(home, "SELECT count(*) FROM referral_history") == [(2,)]


def test_nobody_is_left_out_for_want_of_a_score(shown: Home, tmp_path: Path) -> None:
    before = current_snapshot(shown).id
    take_in(shown, "north", [{"record_id": "b", "submitted_at": at(0)}], tmp_path)
    with pytest.raises(WarehouseRefused, match="1 records have no score"):
        publish(shown, about=about())
    assert current_snapshot(shown).id == before
    assert not list(shown.snapshots.glob(".half-*"))


WORKLIST_ROWS = st.lists(
    st.tuples(
        st.sampled_from(list(tiers())),
        st.integers(-3, 3),
        st.integers(0, 4),
        st.sampled_from(["open", "booked", "seen"]),
    ),
    max_size=25,
)


@settings(max_examples=30, deadline=None)
@given(drawn=WORKLIST_ROWS)
def test_worklist_order(drawn: list[tuple[str, int, int, str]]) -> None:
    now = datetime.now(UTC)
    referrals = [
        {
            "clinic_id": "north",
            "record_id": str(n),
            "effective_tier": tier,
            "see_by": now + timedelta(hours=hours, minutes=30),
            "priority_score": float(points),
            "status": status,
        }
        for n, (tier, hours, points, status) in enumerate(drawn)
    ]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")  # whatever the session's zone, times are UTC
        connection.register("drawn", pa.Table.from_pylist(referrals, referral_schema()))
        connection.execute("CREATE TABLE referrals AS FROM drawn")
        connection.execute(worklist_view())
        found = connection.execute(
            "SELECT effective_tier, overdue, priority_score, see_by, record_id FROM worklist"
        ).fetchall()
    keys = [(tiers()[tier].rank, not overdue, -points) for tier, overdue, points, _, _ in found]
    assert keys == sorted(keys)
    assert {record for *_, record in found} == {str(n) for n, row in enumerate(drawn) if row[3] != "seen"}
    assert all(overdue == (datetime.fromisoformat(see_by) < now) for _, overdue, _, see_by, _ in found)


def test_unread_forms(home: Home, tmp_path: Path) -> None:
    bad = {"record_id": "bad", "submitted_at": at(0), "pain_now": "eleven"}
    take_in(home, "north", [{"record_id": "a", "submitted_at": at(0)}, bad], tmp_path)
    nameless = [{**bad, "clinic_id": "?"}, {"clinic_id": "south", "record_id": "s", "submitted_at": at(0)}]
    take_in(home, "", nameless, tmp_path)
    mark_unread(home, {"bad": "emergency"})
    result = published(home)
    assert (result.clinics, result.referrals, result.unread, result.unread_emergency) == (2, 2, 2, 2)
    snapshot = current_snapshot(home)
    assert snapshot.clinics == ("north", "south")
    assert snapshot.unread("north") == (1, 1) and snapshot.unread("south") == (0, 0) and snapshot.unread() == (2, 2)
    columns = "clinic_id, record_id, possible_tier, error_codes, act_by = received_at"
    found = rows(home, f"SELECT {columns} FROM unread_forms")
    assert sorted(found) == [
        ("_unassigned", "bad", "emergency", ["bad_key", "not_a_whole_number"], True),
        ("north", "bad", "emergency", ["not_a_whole_number"], True),
    ]


def test_a_form_sent_again_is_read(home: Home, tmp_path: Path) -> None:
    cases = {"worse": ("emergency", "soon"), "same": ("soon", "urgent"), "nothing": (None, "routine")}
    bad = [{"record_id": record, "submitted_at": at(0), "pain_now": "eleven"} for record in [*cases, "never"]]
    take_in(home, "north", bad, tmp_path)
    mark_unread(home, {record: possible for record, (possible, _) in cases.items()})
    take_in(home, "north", [{"record_id": record, "submitted_at": at(1), "pain_now": 9} for record in cases], tmp_path)
    score(home, lambda record: {"tier": cases[record["record_id"]][1]})
    publish(home, about=about())
    found = rows(home, "SELECT record_id, possible_tier, act_by - received_at FROM unread_forms")
    assert found == [("worse", "emergency", timedelta(0)), ("never", None, timedelta(days=1))]


def test_a_clinic_that_did_not_change_is_linked(shown: Home, tmp_path: Path) -> None:
    first = current_snapshot(shown)
    take_in(shown, "north", [{"record_id": "b", "submitted_at": at(1)}], tmp_path)
    second = published(shown)
    for kind, linked in (("duckdb", True), ("parquet", True)):
        assert (first.path / f"south.{kind}").samefile(second.path / f"south.{kind}") is linked
        assert not (first.path / f"north.{kind}").samefile(second.path / f"north.{kind}")
    assert second.linked == 1
    manifests = [json.loads((result.path / "manifest.json").read_text()) for result in (first, second)]
    assert {clinic["linked_from"] for clinic in manifests[0]["clinics"].values()} == {None}
    assert manifests[1]["previous"] == first.id
    assert manifests[1]["clinics"]["south"]["linked_from"] == first.id
    assert manifests[0]["clinics"]["south"]["files"] == manifests[1]["clinics"]["south"]["files"]
    assert published(shown).linked == 2
    assert published(shown, banner="RULES ONLY").linked == 0
    assert current_snapshot(shown).banner == "RULES ONLY"


def test_files_are_whole_and_hashes_hold(simple: Home) -> None:
    result = current_snapshot(simple)
    names = {entry.name for entry in result.path.iterdir()}
    of_clinics = {f"{clinic}.{kind}" for clinic in ("north", "south", "_unassigned") for kind in ("duckdb", "parquet")}
    assert names == {*of_clinics, "_group.parquet", "manifest.json"}
    assert {entry.stat().st_mode & 0o777 for entry in result.path.iterdir()} == {0o400}
    entry = json.loads((result.path / "manifest.json").read_text())["clinics"]["north"]
    assert {name: facts_of(result.path / name) for name in entry["files"]} == entry["files"]
    with duckdb.connect(result.path / "north.duckdb", read_only=True) as connection:
        tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        assert tables == set(TABLES)
        assert connection.execute("SELECT count(*) FROM worklist").fetchall() == [(1,)]
        counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in tables}
    assert counts == entry["rows"]


def test_no_file_name_and_no_free_text_is_published(home: Home, tmp_path: Path) -> None:
    told = {"notes": "CANARY", "extra CANARY": "x"}
    take_in(home, "north", [{"record_id": "a", "submitted_at": at(0), **told}], tmp_path)
    take_in(home, "north", [{"record_id": "b", "submitted_at": at(0), "side": "CANARY"}], tmp_path)
    result = published(home)
    for file in result.path.glob("*.parquet"):
        assert "CANARY" not in str(pq.read_table(file).to_pylist()).upper()
    tables = ("referrals", "unread_forms", "referral_history", "lineage", "publication", "worklist")
    said = str([rows(home, f"FROM {table}") for table in tables]) + (result.path / "manifest.json").read_text()
    assert "CANARY" not in said.upper()
    with duckdb.connect(home.quarantine_copy, read_only=True) as connection:
        assert "CANARY" in str(connection.execute("FROM quarantine").fetchall())
        assert "Jane" not in str(
            [connection.execute(f"FROM {t}").fetchall() for t in ("quarantine", "file", "refused_file")]
        )
    assert home.quarantine_copy.stat().st_mode & 0o777 == 0o600


def test_small_counts_are_suppressed(home: Home, tmp_path: Path) -> None:
    shown = {7: None, 8: 10, 12: 10, 13: 15}
    many = [{"clinic_id": f"c{n}", "record_id": f"r{k}", "submitted_at": at(0)} for n in shown for k in range(n)]
    take_in(home, "", many, tmp_path)
    group = pq.read_table(published(home).path / "_group.parquet").to_pylist()
    found = {(row["clinic_id"], row["effective_tier"]): row["referrals"] for row in group}
    wanted = {(f"c{n}", tier): shown[n] if tier == "routine" else None for n in shown for tier in tiers()}
    assert found == wanted
    assert all(row["suppressed"] == (row["referrals"] is None) for row in group)


def test_old_snapshots_are_removed_and_never_the_current_one(shown: Home) -> None:
    (shown.root / "settings.toml").write_text("snapshots_kept = 2\nsnapshot_days = 0\n")
    ids = [current_snapshot(shown).id, *(published(shown).snapshot_id for _ in range(3))]
    assert sorted(entry.name for entry in shown.snapshots.iterdir()) == [*ids[2:], "current"]
    (shown.root / "settings.toml").write_text("snapshots_kept = 1\nsnapshot_days = 30\n")
    ids += [published(shown).snapshot_id]
    assert {entry.name for entry in shown.snapshots.iterdir()} == {*ids[2:], "current"}  # young enough


def test_stale_and_missing(shown: Home, tmp_path: Path) -> None:
    nothing = Home(tmp_path / "nothing")
    nothing.ensure()
    with pytest.raises(SnapshotMissing, match="nothing has been published"):
        current_snapshot(nothing)
    snapshot = current_snapshot(shown)
    assert not snapshot.stale
    assert current_snapshot(shown, now=snapshot.published_at + timedelta(hours=12, seconds=1)).stale
    assert not current_snapshot(shown, now=snapshot.published_at + timedelta(hours=11)).stale
    with pytest.raises(ClinicUnknown, match="it has: north"), connect(snapshot, "west"):
        pass
    (shown.snapshots / "current").write_text("../../etc\n")
    with pytest.raises(SnapshotMissing):
        current_snapshot(shown)


FORBIDDEN = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('{outside}')",
    "SELECT * FROM '{outside}'",
    "SELECT * FROM read_parquet('{south}.parquet')",
    "ATTACH '{south}.duckdb' (READ_ONLY)",
    "SELECT * FROM glob('/*')",
    "COPY (SELECT 1) TO '{outside}.new'",
    "ATTACH '{outside}.duckdb'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET memory_limit = '8GB'",
    "RESET memory_limit",
    "PRAGMA memory_limit = '8GB'",
    "CREATE TABLE t AS SELECT 1",
    "DELETE FROM referrals",
    'INSERT INTO "clinic north".form SELECT * FROM form',
    'DETACH "clinic north"',
    "SELECT 1; SELECT 2",
    "EXPORT DATABASE '{outside}'",
    "CHECKPOINT",
    "",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_a_reader_can_only_read_the_snapshot(simple: Home, tmp_path: Path, statement: str) -> None:
    (tmp_path / "outside.csv").write_text("a\n1\n")
    snapshot = current_snapshot(simple)
    sql = statement.format(outside=tmp_path / "outside.csv", south=snapshot.path / "south")
    with connect(snapshot, "north") as connection:
        with pytest.raises(QueryRefused), answering():
            answer(connection, sql, seconds=60, when_deaf=pytest.fail).fetchmany(1)
        # the hardening holds by itself too, without the check of the statement's kind
        if statement and not statement.startswith(("CREATE", "SELECT 1;", "DETACH", "CHECKPOINT")):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)
    assert [file.name for file in tmp_path.iterdir()] == ["outside.csv"]


READER = """
import sys
from pathlib import Path
from warehouse.home import Home
from warehouse.snapshot_reading import connect, current_snapshot
snapshot = current_snapshot(Home(Path(sys.argv[1])))
with connect(snapshot) as connection:
    for _ in sys.stdin:
        print(snapshot.id, connection.execute("SELECT count(*), max(record_id) FROM worklist").fetchone(), flush=True)
"""


def test_a_reader_keeps_its_snapshot_while_others_are_published(shown: Home, tmp_path: Path) -> None:
    (shown.root / "settings.toml").write_text("snapshots_kept = 1\nsnapshot_days = 0\n")
    first = current_snapshot(shown).id
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(shown.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert reader.stdin and reader.stdout
    answers = []
    for n in range(4):
        reader.stdin.write("again\n")
        reader.stdin.flush()
        answers.append(reader.stdout.readline().strip())
        if n < 3:
            take_in(shown, "north", [{"record_id": f"b{n}", "submitted_at": at(1)}], tmp_path)
            published(shown)
    reader.stdin.close()
    reader.wait(timeout=20)
    reader.stdout.close()
    assert answers == [f"{first} (2, 'a')"] * 4  # though its folder is gone by now
    assert rows(shown, "SELECT count(*) FROM worklist") == [(5,)]
    assert not (shown.snapshots / first).exists()


STEPS = [
    "snapshots._sweep",
    "publication.clinic_contents",
    "publication.assemble",
    "clinic_files.write_clinic",
    "clinic_files.unread_counts",
    "clinic_files.write_group",
    "snapshots._write_manifest",
    "quarantine_copy.replace",
    "quarantine_copy._put_in_place",
    "snapshots._seal",
    "snapshots._swap_pointer",
    "snapshots.retire",
]


def publish_once(home: Home) -> None:
    """What is killed, in a process of its own."""
    publish(home, about=about())


@pytest.fixture(scope="module")
def changed(simple: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a snapshot of two clinics, and then news of one of them that is not published yet."""
    folder = tmp_path_factory.mktemp("changed")
    home = Home(Path(shutil.copytree(simple.root, folder / "home", symlinks=True)))
    news = [{"record_id": "b", "submitted_at": at(0)}, {"record_id": "?", "submitted_at": at(0)}]
    take_in(home, "north", news, folder)
    score(home)
    return home.root


@pytest.mark.parametrize(("step", "moment"), [*((step, "before") for step in STEPS), (STEPS[-1], "after")])
def test_a_killed_publisher_leaves_the_old_or_the_new(
    commands: Commands, changed: Path, tmp_path: Path, step: str, moment: str
) -> None:
    home = Home(Path(shutil.copytree(changed, tmp_path / "copy")))
    old = current_snapshot(home).id
    module, _, name = step.partition(".")
    killed = commands.call(
        "tests.test_snapshots:publish_once", home=home.root, step=f"warehouse.{module}:{name}:{moment}"
    )
    assert killed.code == KILLED, killed.err
    swapped = STEPS.index(step) > STEPS.index("snapshots._swap_pointer")
    assert (current_snapshot(home).id != old) == swapped
    seen = rows(home, "SELECT (SELECT count(*) FROM referrals), (SELECT count(*) FROM unread_forms)")
    assert seen == [(3, 1) if swapped else (2, 0)]
    again = publish(home, about=about())
    assert (again.referrals, again.unread, again.clinics) == (3, 1, 2)
    assert current_snapshot(home).id == again.snapshot_id
    assert not [entry for entry in (*home.snapshots.iterdir(), *home.root.iterdir()) if ".half-" in entry.name]
    with opened(home, "count for a test") as connection:
        held = connection.execute("SELECT count(*) FROM intake_current").fetchone()
        refused = connection.execute("SELECT count(*) FROM intake_quarantine").fetchone()
    assert (held, refused) == ((3,), (1,))
    with duckdb.connect(home.quarantine_copy, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (1,)


def test_a_damaged_file_is_written_again_and_not_linked(shown: Home) -> None:
    first = current_snapshot(shown)
    os.truncate(first.path / "north.parquet", 3)
    second = published(shown)
    assert second.linked == 1  # the other clinic
    assert pq.read_table(second.path / "north.parquet").num_rows == 1
