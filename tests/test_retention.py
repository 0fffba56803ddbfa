"""Retention: what is older than the settings keep goes, what is needed stays, and a kill leaves nothing undone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from pipelines.commands.purge import purge as command
from pipelines.instance import use_instance_of
from pipelines.runs import run_retention
from tests.published_home import about, published, take_in
from warehouse import access_log, audit, replay, retention
from warehouse.checkup import check_home
from warehouse.home import Home
from warehouse.snapshots import publish
from warehouse.sources import register
from warehouse.store import WarehouseRefused, opened

LATER = timedelta(days=100)
GOOD = {"record_id": "a", "submitted_at": "2026-01-02T10:00:00Z", "age_years": 30}
REFUSED = {"record_id": "b", "submitted_at": "2026-01-02T10:00:00Z", "age_years": "thirty"}
KEEP = "[retention]\narchive_days = 30\naccess_log_days = 30\nrun_days = 30\n"


@pytest.fixture
def home(home: Home) -> Home:
    (home.root / "settings.toml").write_text(f"data_kind = 'sample'\nsnapshots_kept = 1\nsnapshot_days = 1\n{KEEP}")
    return home


def entered(home: Home) -> list[audit.Entry]:
    with opened(home, "test") as connection:
        assert audit.first_broken(connection, {}) is None
        return [entry for entry in audit.entries(connection) if entry.event == "purge"]


def archived(home: Home) -> int:
    return sum(1 for _ in home.archive.iterdir())


def test_old_bytes_go_only_if_everything_was_read(home: Home, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    read = take_in(home, "north", [GOOD], tmp_path)
    waits = take_in(home, "north", [GOOD, REFUSED], tmp_path)
    not_loaded = tmp_path / "waits.csv"
    not_loaded.write_text("record_id,submitted_at\nc,2026-01-02T10:00:00Z\n")
    register(home, not_loaded, clinic="north", data_kind="sample")
    assert retention.purge(home, now=now + timedelta(days=29)).archived_files == 0 and entered(home) == []

    found = retention.due(home, now + LATER)
    assert (found.archived_files, archived(home)) == (1, 3)  # looking removes nothing
    assert retention.purge(home, by="Ada", now=now + LATER) == found
    assert archived(home) == 2
    (entry,) = entered(home)
    assert entry.by_name == "Ada" and '"archived_files": 1' in entry.counts

    assert retention.purge(home, now=now + LATER).counts == dict.fromkeys(found.counts, 0)
    assert len(entered(home)) == 1  # nothing was removed, nothing is entered
    wrong = [finding.sentence for finding in check_home(home) if finding.state == "wrong"]
    assert not [sentence for sentence in wrong if "archived" in sentence]
    with pytest.raises(WarehouseRefused, match=r"purged on \d{4}-\d\d-\d\d, as the settings ask for"):
        replay.replay(home, read)
    assert replay.replay(home, waits).still_refused == 1

    replay.dismiss(home, waits, 2, by="Ada", reason="telephoned")
    assert retention.purge(home, now=now + LATER).archived_files == 1


def test_bytes_that_another_batch_still_needs_stay(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [GOOD], tmp_path)
    (file,) = tmp_path.glob("*.csv")
    register(home, file, clinic="south", data_kind="sample")  # the same bytes, not loaded
    assert retention.purge(home, now=datetime.now(UTC) + LATER).archived_files == 0 and archived(home) == 1


def test_without_a_setting_bytes_are_kept_for_ever(home: Home, tmp_path: Path) -> None:
    (home.root / "settings.toml").write_text("data_kind = 'sample'\n")
    take_in(home, "north", [GOOD], tmp_path)
    assert retention.due(home, datetime.now(UTC) + timedelta(days=40_000)).archived_files == 0


def test_a_purge_that_was_killed_is_done_by_the_next(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(home, "north", [GOOD], tmp_path)
    now = datetime.now(UTC) + LATER

    class Killed(BaseException):
        pass

    def dies(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "unlink", dies)
        retention.purge(home, now=now)
    assert archived(home) == 1
    assert not [f for f in check_home(home) if f.state == "wrong" and "archive" in f.sentence]
    assert retention.purge(home, now=now).archived_files == 1 and archived(home) == 0
    assert retention.purge(home, now=now).archived_files == 0


def test_old_snapshots_go_and_the_current_one_never(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [GOOD], tmp_path)
    published(home)
    current = publish(home, about=about())
    assert len([*home.snapshots.glob("2*")]) == 2
    assert retention.purge(home, now=datetime.now(UTC) + LATER).snapshots == 1
    assert [folder.name for folder in home.snapshots.glob("2*")] == [current.snapshot_id]


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ([], []),
        (["2026-01-01T00:00:00+00:00 a"], []),
        (["2026-01-01T00:00:00Z a", "2026-06-01T00:00:00Z b"], ["2026-06-01T00:00:00Z b"]),
        (["2026-01-01T00:00:00Z a", "torn", "2026-06-01T00:00:00Z b"], ["2026-06-01T00:00:00Z b"]),
        (["2026-06-01T00:00:00Z b", "2026-01-01T00:00:00Z a"], ["2026-06-01T00:00:00Z b", "2026-01-01T00:00:00Z a"]),
        (["torn", "2026-06-01T00:00:00Z b"], ["torn", "2026-06-01T00:00:00Z b"]),
        (["2026-01-01T00:00:00Z a", "torn"], ["torn"]),
        (["2026-01-01T00:00:00Z a", "", "2026-06-01T01:00:00+02:00 b"], ["2026-06-01T01:00:00+02:00 b"]),
    ],
)
def test_the_access_log_loses_the_lines_that_are_known_to_be_old(home: Home, lines: list[str], left: list[str]) -> None:
    home.access_log.write_text("".join(f"{line}\n" for line in lines))
    now = datetime(2026, 6, 10, tzinfo=UTC)
    told = retention.purge(home, now=now).access_log_lines
    assert home.access_log.read_text() == "".join(f"{line}\n" for line in left)
    assert told == len(lines) - len(left) and retention.due(home, now).access_log_lines == 0


def test_entries_written_while_old_ones_are_dropped_are_all_kept(home: Home) -> None:
    (home.root / "settings.toml").write_text(KEEP)
    done = threading.Event()

    def write() -> int:
        written = 0
        while not done.is_set():
            access_log.append(home.access_log, {"n": written})
            written += 1
        return written

    with ThreadPoolExecutor(4) as threads:
        writers = [threads.submit(write) for _ in range(4)]
        for _ in range(20):
            with home.access_log.open("a") as log:
                log.write("2020-01-01T00:00:00Z an old one\n" * 500)
            retention.purge(home)
        done.set()
    entries = [line for line in home.access_log.read_text().splitlines() if " an old one" not in line]
    assert len(entries) == sum(writer.result() for writer in writers) > 0


def test_a_home_without_anything_has_nothing_to_purge(home: Home) -> None:
    assert not any(retention.purge(home).counts.values())
    assert not any(retention.due(home).counts.values())


# Dagster's runs

BATCHES = dg.DynamicPartitionsDefinition(name="of_test")


@dg.asset(partitions_def=BATCHES)
def loaded() -> None:
    pass


@dg.asset
def table() -> None:
    print("captured")


@dg.op
def nothing() -> None:
    pass


@dg.job
def alone() -> None:
    nothing()


@pytest.mark.slow
def test_old_runs_go_and_what_a_batch_came_to_stays_in_sight(home: Home) -> None:
    with dg.DagsterInstance.from_config(str(use_instance_of(home))) as instance:
        instance.add_dynamic_partitions("of_test", ["b1"])

        def run(asset: Any, partition: str | None = None) -> str:
            return dg.materialize([asset], instance=instance, partition_key=partition).run_id

        first, second = run(loaded, "b1"), run(loaded, "b1")
        overtaken, newest = run(table), run(table)
        plain = alone.execute_in_process(instance=instance).run_id
        started = dg.DagsterRun(job_name="alone", run_id="5" * 8, status=dg.DagsterRunStatus.STARTED)
        instance.add_run(started)
        future = datetime.now(UTC) + LATER

        assert run_retention.old_runs(instance, None) == run_retention.old_runs(instance, 30) == []
        old = run_retention.old_runs(instance, 30, future)
        assert old == [first, second, overtaken, newest, plain]  # not the one that is at work
        run_retention.remove(instance, old)
    with dg.DagsterInstance.from_config(str(use_instance_of(home))) as instance:
        run_retention.remove(instance, old)  # as after a kill: once more changes nothing
        assert [run.run_id for run in instance.get_runs()] == [started.run_id]
        storage = home.dagster / "history" / "runs"
        assert {file.name.split(".")[0] for file in storage.iterdir()} <= {"index"}
        assert not [folder for folder in (home.dagster / "storage").rglob("*") if folder.name in old]

        assert instance.get_materialized_partitions(dg.AssetKey("loaded")) == {"b1"}
        assert of_runs(instance, "loaded") == [second] and of_runs(instance, "table") == [newest]


def of_runs(instance: dg.DagsterInstance, asset: str) -> list[str]:
    return [record.run_id for record in instance.fetch_materializations(dg.AssetKey(asset), limit=9).records]


@pytest.mark.slow
def test_the_command_shows_first_and_removes_when_told(home: Home, tmp_path: Path) -> None:
    home.access_log.write_text("2020-01-01T00:00:00Z a\n")
    shown = CliRunner().invoke(command, [])
    assert shown.exit_code == 0 and "1  access log lines" in shown.output and "add --yes" in shown.output
    assert home.access_log.read_text()
    done = CliRunner().invoke(command, ["--yes", "--by", "Ada"])
    assert done.exit_code == 0 and home.access_log.read_text() == ""
    assert [entry.by_name for entry in entered(home)] == ["Ada"]
