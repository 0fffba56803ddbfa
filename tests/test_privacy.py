"""Planted text is found in archive, raw, quarantine and notes, and nowhere else: every column decoded."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow.parquet as pq
import pytest

from pipelines.definitions import hiptriage as definitions
from pipelines.defs.intake import BATCHES
from pipelines.instance import use_instance_of
from tests.commands import Done
from tests.forked import Commands
from tests.page_crawl import crawled, texts
from tests.page_people import HASH, PAGE, PEOPLE, TOKENS, settings, signed_in
from tests.page_server import client
from warehouse import audit, backup
from warehouse.home import Home
from warehouse.store import opened

pytestmark = pytest.mark.slow

CANARY = "Zorblax"
PLACES = ("notes", "unmapped", "header", "filename", "foldername", "rejected", "badkey")
ALLOWED_COLUMNS = {
    ("intake_raw", "record_text"),
    ("intake_quarantine", "problems"),
    ("intake_waiting", "problems"),  # a view of it
    ("intake_file", "original_name"),
    ("intake_archived", "original_name"),  # a view of it
    ("intake_note", "note"),
    ("record_text", "record_text"),
}


def mark(place: str) -> str:
    return f"{CANARY}{place}"


FILE = f"""record_id,clinic_id,submitted_at,age_years,systemic__fever,{mark("header")},notes,\
sex,history__possible_pregnancy,history__alcohol_excess
a,north,2026-01-02T10:00:00Z,30,1,{mark("unmapped")},"Call {mark("notes")}, please",female,1,1
b,north,2026-01-02T10:00:00Z,{mark("rejected")},1,,,,,
{mark("badkey")} Smith,north,2026-01-02T10:00:00Z,30,1,,,,,
c,north,2026-01-02T10:00:00Z,41,0,,,,,
"""
# How the page words what record a states of these two questions; no rule of the record names them.
TOLD_TO_CLINICIANS = ("Pregnant, or might be", "More than about 35 units of alcohol", "pregnant, or may be")


@pytest.fixture(scope="module")
def used(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Done]]:
    """A home after a real run over planted text, every read command, and runs that fail."""
    folder = tmp_path_factory.mktemp("private") / mark("foldername")
    folder.mkdir()
    file = folder / f"{mark('filename')}.csv"
    file.write_text(FILE)
    broken = folder / f"{mark('filename')} broken.csv"
    broken.write_text(FILE.replace("submitted_at", "when"))
    home = tmp_path_factory.mktemp("home")
    ran = [commands("run", file, home=home), commands("run", broken, home=home)]
    assert ran[0].code == 3, ran[0].err
    assert ran[1].code == 4, ran[1].err
    ran += [
        commands("worklist", "--all", home=home),
        commands("worklist", "--format", "json", home=home),
        commands("explain", "north/a", home=home),
        commands("sql", "SELECT * FROM referrals", home=home),
        commands("quarantine", "list", home=home),
        commands("doctor", home=home),
        commands("run", folder / f"{mark('filename')} missing.csv", home=home),
    ]
    return home, ran


def decoded(home: Path) -> Iterator[tuple[str, str, str]]:
    """Every piece of text that the home holds: file, place in it, text."""
    for path in sorted(home.rglob("*")):
        name = str(path.relative_to(home))
        yield name, "file name", name
        if not path.is_file():
            continue
        if path.suffix == ".duckdb":
            yield from ((name, place, text) for place, text in of_duckdb(path))
        elif path.suffix == ".parquet":
            yield name, "parquet", json.dumps(pq.read_table(path).to_pylist(), default=str)
        elif path.suffix == ".db" or path.read_bytes()[:15] == b"SQLite format 3":
            yield from ((name, place, text) for place, text in of_sqlite(path))
        elif path.name.endswith((".wal", "-wal", "-shm", "-journal")):
            assert path.stat().st_size == 0, name
        else:
            yield name, "content", path.read_bytes().decode("utf-8", "replace")


def of_duckdb(path: Path) -> Iterator[tuple[str, str]]:
    with duckdb.connect(path, read_only=True) as connection:
        tables = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() "
            "UNION SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        for schema, table in tables:
            result = connection.execute(f'SELECT * FROM "{schema}"."{table}"')
            columns = [column[0] for column in result.description]
            for row in result.fetchall():
                for column, value in zip(columns, row, strict=True):
                    yield f"{table}.{column}", str(value)
        yield (
            "definitions",
            str(connection.execute("SELECT sql FROM duckdb_tables() UNION SELECT sql FROM duckdb_views()").fetchall()),
        )


def of_sqlite(path: Path) -> Iterator[tuple[str, str]]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            result = connection.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in result.description]
            for row in result.fetchall():
                for column, value in zip(columns, row, strict=True):
                    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                    yield f"{table}.{column}", text
    finally:
        connection.close()


def may_hold(file: str, place: str, text: str) -> bool:
    if file.startswith("archive/"):
        return place == "content"
    table, _, column = place.partition(".")
    if file == "warehouse.duckdb":
        return (table, column) in ALLOWED_COLUMNS or (table, column) in {
            ("intake_lineage", "record_text"),
            ("intake_lineage", "original_name"),
        }
    # The treating clinic's copy holds the free text in one column of each segment, and nothing of a refused record.
    if file.startswith("answers/north/") and file.endswith(".db"):
        return place == "version.note" and mark("notes") in text
    return file == "quarantine.duckdb"


def test_planted_text_lies_only_where_it_may(used: tuple[Path, list[Done]]) -> None:
    home, _ = used
    found: dict[str, set[str]] = {place: set() for place in PLACES}
    for file, place, text in decoded(home):
        if CANARY not in text:
            continue
        assert may_hold(file, place, text), f"planted text in {file}: {place}"
        for planted in PLACES:
            if mark(planted) in text:
                found[planted].add(f"{file.partition('/')[0]}:{place}")
    assert found["foldername"] == set()
    assert found["filename"] >= {"warehouse.duckdb:intake_file.original_name"}
    for planted in ("notes", "unmapped", "header", "rejected", "badkey"):
        assert found[planted] >= {"archive:content", "warehouse.duckdb:intake_raw.record_text"}, planted
    assert found["notes"] >= {"warehouse.duckdb:intake_note.note", "answers:version.note"}
    for planted in ("unmapped", "header", "rejected", "badkey"):
        assert not [place for place in found[planted] if "note" in place or place.startswith("answers:")], planted
    for planted in ("rejected", "badkey"):
        assert "warehouse.duckdb:intake_quarantine.problems" in found[planted], planted


def test_nothing_planted_is_ever_printed(used: tuple[Path, list[Done]]) -> None:
    for done in used[1]:
        assert CANARY not in done.out + done.err
        assert "Traceback" not in done.err


def test_the_analyst_sees_the_cell_that_was_refused(commands: Commands, used: tuple[Path, list[Done]]) -> None:
    home, ran = used
    batch = ran[0].out.partition(":")[0]
    assert mark("rejected") in commands("quarantine", "show", batch, home=home).out


def test_the_page_tells_nobody_but_the_clinics_clinicians(used: tuple[Path, list[Done]]) -> None:
    home = Home(used[0])
    of_south = PEOPLE.replace('["*"]\ntoken_sha256 = "' + HASH["otto"] + '"\nuntil = 2020-01-31', '["south"]\n')
    of_south += f'token_sha256 = "{HASH["otto"]}"\n'
    everything = {}
    try:
        settings(home, PAGE + of_south)
        everything |= {who: crawled(signed_in(home, who), clinic="north", record="a") for who in TOKENS}
        settings(home, "")
        everything["local"] = crawled(client(home), clinic="north", record="a")
    finally:
        (home.root / "settings.toml").unlink()
    assert all(status < 500 for found in everything.values() for status, _ in found.values())
    for who, found in everything.items():
        told = texts(found)
        sees_rows = who in ("anna", "rita", "ward", "alan", "local")
        assert ("/record?clinic=north&record=a" in told) == sees_rows, who
        assert (mark("notes") in told) == (who == "anna"), who
        assert CANARY not in told.replace(mark("notes"), ""), who
        for words in (*TOLD_TO_CLINICIANS, "pregnancy stated or possible", "history__possible_pregnancy"):
            # the list and the record tell clinicians; paper and files, which clinicians have too, tell nobody
            where = {address.partition("?")[0] for address, (_, text) in found.items() if words in text}
            assert where <= ({"/", "/record", "/record/what-if"} if who == "anna" else set()), (who, words)
        assert all(words in told for words in TOLD_TO_CLINICIANS) == (who == "anna"), who
    assert CANARY not in home.access_log.read_text()


def test_the_home_is_open_to_its_owner_alone(used: tuple[Path, list[Done]]) -> None:
    home, _ = used
    for file in ("warehouse.duckdb", "quarantine.duckdb"):
        assert (home / file).stat().st_mode & 0o077 == 0
    for folder in ("archive", "landing", "snapshots", "models", "dagster", "answers"):
        assert (home / folder).stat().st_mode & 0o077 == 0
    inside = list((home / "answers").rglob("*"))
    assert len(inside) == 3  # one clinic's folder, its manifest and a segment
    assert not [path for path in inside if path.stat().st_mode & 0o077]


# --- What the services do, over people whose record ids and keys are planted too ------------------------------------

SERVED = f"""record_id,patient_key,submitted_at,age_years,sex,weight_bearing,systemic__fever,rest_pain,duration_weeks,\
pain_site__groin,side,{mark("header")},notes
{mark("record")},{mark("person")},2026-01-02T10:00:00Z,31,female,cannot,1,1,1,\
1,right,{mark("unmapped")},"Call {mark("notes")}, please"
{mark("other")},{mark("person")},2026-01-03T10:00:00Z,{mark("rejected")},female,normal,0,0,3,1,left,,
"""
WHO = {"by": "Ada", "reason": "because"}
REQUEST = {"request": "r-1", "how": "restrict", "by": "Ada", "reason": "patient_request"}
# Jobs that look at or change people's records, and such that fail; the forms hold no patient value.
LAUNCHED: tuple[tuple[str, dict[str, object], bool], ...] = (
    ("promote", WHO | {"second": "Ben", "version": "nosuch", "confirm": True}, False),
    ("shadow", WHO | {"what": "stop"}, False),
    ("dismiss_refused", {"batch": "nosuch", "record_number": 1, "by": "Ada", "reason": "telephoned"}, False),
    ("withdraw", REQUEST | {"request": "r-2"}, False),
    ("withdraw", REQUEST, True),
    ("replay_quarantine", {}, True),
    ("purge", {"confirm": True}, True),
)


def serve(home: Home) -> None:
    """What the services and an analyst do, in this process: every sensor, the jobs and checks, alerts and a backup."""
    project = definitions()
    cursors: dict[str, str | None] = {}

    def tick(instance: dg.DagsterInstance) -> None:
        for sensor in project.sensors or []:
            if isinstance(sensor, dg.AutomationConditionSensorDefinition):
                continue
            context = dg.build_sensor_context(instance, cursors.get(sensor.name), sensor_name=sensor.name)
            said = sensor(context)
            cursors[sensor.name] = said.cursor if isinstance(said, dg.SensorResult) and said.cursor else context.cursor
            print(sensor.name, said, cursors[sensor.name])

    with dg.DagsterInstance.from_config(str(use_instance_of(home))) as instance:

        def launch(job: str, config: object = None, **more: object) -> bool:
            result = project.resolve_job_def(job).execute_in_process(
                run_config=config, instance=instance, raise_on_error=False, **more
            )
            print([entry.to_json() for entry in instance.all_logs(result.run_id)])
            return result.success

        tick(instance)
        assert launch("landing")
        (batch,) = instance.get_dynamic_partitions(str(BATCHES.name))
        assert launch("intake", partition_key=batch)
        for job, form, is_good in LAUNCHED:
            assert launch(job, {"ops": {job: {"config": form}}}) == is_good, job
        assert launch("checks")
        tick(instance)
        print(cursors)
    made = backup.make(home, home.root.parent / "backups")
    print(made.manifest)
    with opened(home, "test") as connection:
        print(*audit.entries(connection), sep="\n")


@pytest.fixture(scope="module")
def served(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done, str]:
    """The home, what was printed, and the alerts that went out."""
    root = tmp_path_factory.mktemp("served")
    home = Home(root / "home")
    home.root.mkdir(mode=0o700)
    home.ensure()
    sent = root / "sent"
    sent.touch()
    (home.root / "settings.toml").write_text(
        'data_kind = "sample"\nlanding_settle_seconds = 0\n[alerts]\n'
        f'command = ["{shutil.which("sh")}", "-c", "cat >> {sent}"]\n'
    )
    for clinic, name in (("north", f"{mark('filename')}.csv"), (mark("foldername"), "x.csv")):
        (home.landing / clinic).mkdir()
        (home.landing / clinic / name).write_text(SERVED)
    request = home.withdrawals / "r-1.csv"
    request.parent.mkdir(mode=0o700, exist_ok=True)
    request.touch(mode=0o600)
    request.write_text(f"clinic_id,record_id\nnorth,{mark('record')}\n")
    done = commands.call("tests.test_privacy:serve", home=home.root)
    assert done.code == 0, done.out[-3000:] + done.err[-3000:]
    return home.root, done, sent.read_text()


def test_sensors_jobs_checks_and_alerts_say_nothing_of_a_person(served: tuple[Path, Done, str]) -> None:
    home, done, sent = served
    assert "1 new emergency row" in sent and "could not be read" in sent and "runs failed" in sent
    for text in (done.out, done.err, sent):
        assert CANARY not in text
    for file in (home / "dagster").rglob("*.db"):  # the process ended as a killed one does: what it wrote last is aside
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    everything = list(decoded(home))
    kept = [(name, place, text) for name, place, text in everything if name.startswith("dagster/")]
    tables = {place.partition(".")[0] for _, place, _ in kept}
    assert tables >= {"runs", "event_logs", "asset_check_executions", "asset_keys"}
    assert [(name, place) for name, place, text in kept if CANARY in text] == []
    assert [place for _, place, text in everything if "audit" in place and CANARY in text] == []
