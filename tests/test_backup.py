"""Backup and restore: what comes back is what was there, and nothing that stands half done looks whole."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines.cli import main
from tests.forked import Commands
from tests.published_home import published, take_in
from warehouse import audit, backup
from warehouse.backup import BackupRefused
from warehouse.home import Home
from warehouse.intake import load
from warehouse.restoring import restore
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.sources import pending_batches, register
from warehouse.store import RESTORING, WarehouseRefused, opened

CANARY = "Jane Canary"


def filled(home: Home, folder: Path, rows: int = 3) -> None:
    take_in(
        home, "north", [{"record_id": f"r{n}", "submitted_at": "2026-01-05T08:00:00Z"} for n in range(rows)], folder
    )
    published(home)


def contents(home: Home) -> dict[str, Any]:
    """Worklist, counts and audit of a home."""
    with connect(current_snapshot(home)) as connection:
        rows = connection.execute("SELECT * FROM worklist").fetchall()
    with opened(home, "compare for a test") as connection:
        ledger = connection.execute("SELECT * FROM intake_ledger ORDER BY batch_id").fetchall()
        chain = [entry.entry_hash for entry in audit.entries(connection)]
    return {"worklist": rows, "ledger": ledger, "chain": chain}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, backup.Backup, dict[str, Any]]]:
    """A home with records and a backup of it; tests copy the home and leave both as they are."""
    folder = tmp_path_factory.mktemp("backed-up")
    home = Home(folder / "home")
    filled(home, folder)
    filled(home, folder, rows=4)  # a second snapshot, whose unchanged files are linked
    (home.root / "settings.toml").write_text('name = "Riverside"\n', "utf-8")
    (home.landing / "north").mkdir()
    (home.landing / "north" / f"{CANARY}.csv").write_text("record_id,submitted_at\nwaiting,2026-01-06T08:00:00Z\n")
    home.dagster.mkdir(exist_ok=True)
    with closing(sqlite3.connect(home.dagster / "runs.db")) as runs:
        runs.execute("PRAGMA journal_mode=WAL")
        runs.execute("CREATE TABLE runs (id INTEGER)")
        runs.execute("INSERT INTO runs VALUES (1)")
        runs.commit()
    before = contents(home)
    yield home, backup.make(home, folder / "backups"), before


@pytest.fixture
def own(made: tuple[Home, backup.Backup, dict[str, Any]], home: Home) -> Home:
    """A copy of that home, which the environment points to."""
    shutil.rmtree(home.root)
    shutil.copytree(made[0].root, home.root)
    return home


def test_a_backup_is_whole_and_its_owners_alone(made: tuple[Home, backup.Backup, dict[str, Any]]) -> None:
    home, whole, before = made
    assert backup.read(whole.path) == whole
    assert whole.head == audit.Head(len(before["chain"]), before["chain"][-1] if before["chain"] else audit.BEGINNING)
    assert whole.counts["records"] == 4
    assert whole.counts["landing files not taken in"] == 1
    for path in (whole.path, *whole.path.rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert not [path for path in whole.path.rglob("*") if CANARY in path.name]
    assert CANARY not in (whole.path / backup.MANIFEST).read_text("utf-8")
    assert backup.last_made(home) == whole.made_at


def test_a_corrupt_warehouse_is_told_and_put_back(
    made: tuple[Home, backup.Backup, dict[str, Any]], own: Home, tmp_path: Path
) -> None:
    _, whole, before = made
    with own.warehouse.open("r+b") as file:
        file.write(os.urandom(64 * 1024))
    with pytest.raises(WarehouseRefused) as told, opened(own, "look"):
        pass
    assert "Canary" not in str(told.value)
    with pytest.raises(WarehouseRefused):
        backup.make(own, tmp_path / "backups")
    assert list((tmp_path / "backups").iterdir()) == []

    with pytest.raises(BackupRefused, match="--replace"):
        restore(own, whole.path)
    done = restore(own, whole.path, replace=True, by="Dr Adams")
    after = contents(own)
    assert (after["worklist"], after["ledger"]) == (before["worklist"], before["ledger"])
    with opened(own, "look at the audit") as connection:
        *earlier, last = audit.entries(connection)
        assert audit.first_broken(connection, {whole.head.entries: whole.head.hash} if earlier else {}) is None
    assert [entry.entry_hash for entry in earlier] == before["chain"]
    assert (last.event, last.by_name) == ("restore", "Dr Adams")
    assert json.loads(last.versions) == {"head": whole.head.hash}
    assert done.aside and (done.aside / "warehouse.duckdb").stat().st_size
    assert done.withdrawals is None  # nobody can read the old one
    assert (own.landing / "north" / f"{CANARY}.csv").exists()
    assert done.landing == 0
    with closing(sqlite3.connect(own.dagster / "runs.db")) as runs:
        assert runs.execute("SELECT * FROM runs").fetchall() == [(1,)]


def test_a_new_machine_gets_what_waited_too(
    made: tuple[Home, backup.Backup, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole, before = made
    new = Home(tmp_path / "new")
    done = restore(new, whole.path)
    assert done.aside is None
    assert not [entry for entry in new.root.iterdir() if entry.name.startswith((backup.SET_ASIDE, backup.HALF))]
    after = contents(new)
    assert (after["worklist"], after["ledger"]) == (before["worklist"], before["ledger"])
    (waiting,) = (new.landing / "north").iterdir()
    assert "waiting" in waiting.read_text("utf-8")
    # the snapshot before is there too, and shares the files that did not change
    older, newer = sorted(entry for entry in new.snapshots.iterdir() if entry.is_dir())
    shared = "_unassigned.duckdb"
    assert (older / shared).stat().st_ino == (newer / shared).stat().st_ino
    closed = {path: not stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (new.root, *new.root.rglob("*"))}
    assert {path.name for path, is_closed in closed.items() if not is_closed} <= {"warehouse.lock", "warehouse.holder"}


def test_what_came_in_after_the_backup_is_entered_again(
    made: tuple[Home, backup.Backup, dict[str, Any]], own: Home, tmp_path: Path
) -> None:
    _, whole, before = made
    take_in(own, "south", [{"record_id": "later", "submitted_at": "2026-01-07T08:00:00Z"}], tmp_path)
    done = restore(own, whole.path, replace=True)
    assert (done.entered_again, done.not_entered, done.withdrawals) == (1, 0, 0)
    (waiting,) = pending_batches(own)
    assert waiting.startswith("south.")
    assert load(own, waiting).accepted == 1
    published(own)
    assert len(contents(own)["worklist"]) == len(before["worklist"]) + 1


def test_with_an_unreadable_warehouse_the_batches_dagster_knows_say_whose_a_file_is(
    made: tuple[Home, backup.Backup, dict[str, Any]], own: Home, tmp_path: Path
) -> None:
    _, whole, _ = made
    known = take_in(own, "south", [{"record_id": "later", "submitted_at": "2026-01-07T08:00:00Z"}], tmp_path)
    take_in(own, "south", [{"record_id": "unknown", "submitted_at": "2026-01-08T08:00:00Z"}], tmp_path)
    own.warehouse.write_bytes(b"nothing of a database")
    done = restore(own, whole.path, replace=True, batch_ids=[known])
    assert (done.entered_again, done.not_entered) == (1, 1)
    assert [batch.split(".")[0] for batch in pending_batches(own)] == ["south"]


def test_landing_files_seen_before_the_backup_are_no_news_and_later_ones_are(
    made: tuple[Home, backup.Backup, dict[str, Any]], home: Home, tmp_path: Path
) -> None:
    source, whole, _ = made
    restore(home, whole.path)
    (old,) = (
        source.archive.iterdir() if len(list(source.archive.iterdir())) == 1 else sorted(source.archive.iterdir())[:1]
    )
    seen, later = tmp_path / "seen.csv", tmp_path / "later.csv"
    shutil.copy(old, seen)
    later.write_text("record_id,submitted_at\nlater,2026-01-09T08:00:00Z\n")
    assert [register(home, file, clinic="north", data_kind="sample")[1] for file in (seen, later)] == [False, True]


@pytest.mark.parametrize("damage", ["changed", "missing", "list", "head"])
def test_a_damaged_backup_is_refused_and_changes_nothing(
    made: tuple[Home, backup.Backup, dict[str, Any]], own: Home, tmp_path: Path, damage: str
) -> None:
    _, whole, _ = made
    folder = tmp_path / "damaged"
    shutil.copytree(whole.path, folder)
    manifest = folder / backup.MANIFEST
    manifest.chmod(0o600)
    if damage == "changed":
        file = next(file for file in (folder / "home" / "archive").iterdir())
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    elif damage == "missing":
        (folder / "home" / "settings.toml").unlink()
    elif damage == "list":
        manifest.write_text(manifest.read_text("utf-8")[:-20], "utf-8")
    else:
        said = json.loads(manifest.read_text("utf-8"))
        manifest.write_text(json.dumps(said | {"audit": {"entries": 99, "hash": "f" * 64}}), "utf-8")
    before = {path.relative_to(own.root) for path in own.root.rglob("*")}
    with pytest.raises(BackupRefused):
        restore(own, folder, replace=True)
    after = {path.relative_to(own.root) for path in own.root.rglob("*")}
    assert after == before
    assert contents(own)["worklist"]


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", ["_fill", "_write_manifest"])
def test_an_interrupted_backup_leaves_nothing_that_looks_whole(
    own: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder = tmp_path / "backups"
    real = getattr(backup, step)

    def dies(*arguments: Any) -> None:
        real(*arguments)
        monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process cleans nothing up
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(backup, step, dies)
        backup.make(own, folder)
    monkeypatch.undo()
    (left,) = folder.iterdir()
    assert left.name.startswith(backup.HALF)
    with pytest.raises(BackupRefused, match=r"that folder is no backup$"):
        backup.read(folder)
    whole = backup.make(own, folder)
    assert list(folder.iterdir()) == [whole.path]
    with pytest.raises(BackupRefused, match=whole.path.name):
        backup.read(folder)


@pytest.mark.parametrize("after", [0, 1, 4, 9, 13])
def test_a_restore_killed_between_two_renames_is_undone_by_the_next(
    made: tuple[Home, backup.Backup, dict[str, Any]],
    own: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    _, whole, before = made
    real, done = Path.rename, []

    def rename(self: Path, target: Path) -> Path:
        is_swap = (own.root / RESTORING).exists()
        if is_swap and len(done) == after:
            raise Killed
        done.extend([self] if is_swap else [])
        return real(self, target)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Path, "rename", rename)
        restore(own, whole.path, replace=True)
    assert len(done) == after
    with pytest.raises(WarehouseRefused, match="broken off"), opened(own, "look"):
        pass
    again = restore(own, whole.path, replace=True)
    assert contents(own)["worklist"] == before["worklist"]
    assert again.aside and again.withdrawals == 0  # the old warehouse lies there, whole
    assert not (own.root / RESTORING).exists()


def test_a_log_beside_the_old_warehouse_is_not_played_into_the_new_one(
    made: tuple[Home, backup.Backup, dict[str, Any]], own: Home
) -> None:
    _, whole, before = made
    beside = own.root / "warehouse.duckdb.wal"
    beside.write_bytes(b"of another warehouse")
    done = restore(own, whole.path, replace=True)
    assert not beside.exists()
    assert done.aside and (done.aside / beside.name).exists()
    assert contents(own)["worklist"] == before["worklist"]


def test_a_database_of_dagster_is_copied_between_two_transactions(own: Home, tmp_path: Path) -> None:
    busy = own.dagster / "runs.db"
    with closing(sqlite3.connect(busy)) as writer:
        writer.execute("INSERT INTO runs VALUES (2)")
        writer.commit()  # lies in the log beside the database
        writer.execute("INSERT INTO runs VALUES (3)")  # under way
        whole = backup.make(own, tmp_path / "backups")
        writer.rollback()
    with closing(sqlite3.connect(whole.path / "home" / "dagster" / "runs.db")) as copy:
        assert copy.execute("SELECT id FROM runs ORDER BY id").fetchall() == [(1,), (2,)]


def test_what_is_amiss_in_the_archive_is_said(own: Home, tmp_path: Path) -> None:
    first, second = sorted(own.archive.iterdir())[:2]
    first.unlink()
    second.chmod(0o600)
    second.write_bytes(b"other bytes")
    counts = backup.make(own, tmp_path / "backups").counts
    assert (counts["archived files missing"], counts["archived files changed"]) == (1, 1)


def test_two_threads_do_not_back_up_half_a_publication(own: Home, tmp_path: Path) -> None:
    """A backup waits for who holds the warehouse."""
    begun, ended = threading.Event(), threading.Event()

    def hold() -> None:
        with opened(own, "hold for a test"):
            begun.set()
            ended.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(10)
    waiting = threading.Thread(target=lambda: backup.make(own, tmp_path / "backups"))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive() and not list((tmp_path / "backups").iterdir())
    ended.set()
    holder.join()
    waiting.join()
    assert len(list((tmp_path / "backups").iterdir())) == 1


def test_the_commands_say_what_was_done(own: Home, tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(main, ["backup", str(own.root / "inside")]).exit_code == 4
    made = run(main, ["backup", str(tmp_path / "backups")])
    assert made.exit_code == 0, made.output
    (folder,) = (tmp_path / "backups").iterdir()
    refused = run(main, ["restore", str(folder)])
    assert refused.exit_code == 4 and "--replace" in refused.output
    done = run(main, ["restore", str(folder), "--replace", "--by", "Dr Adams"])
    assert done.exit_code == 0, done.output
    assert "WITHDRAWALS" in done.output and CANARY not in made.output + done.output


def test_when_a_backup_was_made_is_found(made: tuple[Home, backup.Backup, dict[str, Any]], home: Home) -> None:
    source, whole, _ = made
    assert backup.finding(home).state == "note"
    assert backup.finding(source).state == "ok"
    assert backup.finding(source, whole.made_at + 2 * backup.OLD).state == "note"


@pytest.mark.slow
def test_an_analyst_loses_nothing(home: Home, commands: Commands, tmp_path: Path) -> None:
    """The real commands: backed up, damaged, told, put back, run again."""

    def said(code: int, *arguments: str | Path) -> str:
        done = commands(*arguments, home=home.root, with_dagster=False)
        assert done.code == code, done.err
        return done.out + done.err

    forms = tmp_path / "forms.csv"
    forms.write_text(
        "record_id,submitted_at,age_years\na,2026-01-05T08:00:00Z,30\nb,2026-01-05T09:00:00Z,40\n", "utf-8"
    )
    said(0, "run", forms, "--clinic", "north")
    before = json.loads(said_only(commands, home, "worklist", "--format", "json"))
    said(0, "backup", tmp_path / "backups")
    (folder,) = (tmp_path / "backups").iterdir()

    said(0, "withdraw", "north/b", "--by", "Dr Adams", "--reason", "wrong_person", "--yes")
    (home.landing / "north").mkdir(exist_ok=True)
    (home.landing / "north" / "later.csv").write_text("record_id,submitted_at\nc,2026-01-06T08:00:00Z\n", "utf-8")
    said(0, "run")
    told = said(0, "restore", folder, "--replace")
    assert "WITHDRAWALS made after" in told and "(1 of them are known)" in told
    assert [row["record_id"] for row in before] == ["a", "b"]
    assert json.loads(said_only(commands, home, "worklist", "--format", "json")) == before

    with home.warehouse.open("r+b") as file:
        file.write(os.urandom(64 * 1024))
    refused = said(4, "run")
    assert refused.startswith("hiptriage: the warehouse") and "Traceback" not in refused
    said(0, "restore", folder, "--replace")
    said(0, "doctor")
    assert "1 received = 1 accepted" in said(0, "run")
    rows = json.loads(said_only(commands, home, "worklist", "--format", "json"))
    assert [row["record_id"] for row in rows] == ["a", "b", "c"]
    said(0, "doctor")


def said_only(commands: Commands, home: Home, *arguments: str) -> str:
    """What a command prints on stdout."""
    return commands(*arguments, home=home.root, with_dagster=False).out
