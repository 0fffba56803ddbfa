"""Faults of files, disks and clocks on the way in: a clear sentence, nothing lost, and the next run ends.

What is wrong with one file refuses that file; what is wrong with the machine refuses none, and the batches wait.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from warehouse import faults, intake, landing, ledger, replay, sources
from warehouse.archive import NotReadable
from warehouse.home import Home
from warehouse.lock import WarehouseBusy
from warehouse.store import NoRoom, WarehouseRefused, kept_open, opened

HEADER = "record_id,submitted_at,age_years\n"
CANARY = "Zorblaxfault"
NOBODY = 65534


def text(name: str, records: int = 2) -> str:
    return HEADER + "".join(f"{name}{number},2026-01-02T10:00:00Z,{20 + number % 60}\n" for number in range(records))


def rows(home: Home, query: str) -> list[tuple[Any, ...]]:
    with opened(home, "test") as connection:
        return connection.execute(query).fetchall()


def dropped(home: Home, name: str, said: str) -> Path:
    (home.landing / "north").mkdir(exist_ok=True)
    file = home.landing / "north" / name
    file.write_text(said)
    return file


def loaded(home: Home) -> list[ledger.Reconciled]:
    """Take in the landing folder and load what waits."""
    landing.take_in(home)
    return list(intake.load_each(home, sources.pending_batches(home)))


# Files that are still on their way


@pytest.fixture
def waits(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], list[float]]:
    """Sets what happens while a look at the landing folder waits; gives how long it waited."""
    monkeypatch.setenv("HIPTRIAGE_LANDING_SETTLE_SECONDS", "30")
    slept: list[float] = []

    def while_it_waits(happens: Callable[[], object]) -> list[float]:
        def sleep(seconds: float) -> None:
            slept.append(seconds)
            happens()

        monkeypatch.setattr(landing, "time", SimpleNamespace(time=time.time, sleep=sleep))
        return slept

    return while_it_waits


def test_a_half_copied_file_is_left_and_the_next_look_takes_it_in_whole(
    home: Home, waits: Callable[[Callable[[], object]], list[float]]
) -> None:
    file = dropped(home, "half.csv", text("a", 3)[:-9])
    dropped(home, "whole.csv", text("b"))

    def goes_on() -> None:
        file.write_text(text("a", 5))

    waited = waits(goes_on)
    taken = landing.take_in(home)
    assert (taken.new, taken.left, taken.long_left) == (1, 1, 0)
    assert len(waited) == 1 and 0 < waited[0] <= 30
    waits(lambda: None)
    assert [counts.received for counts in loaded(home)] == [2, 5]


def test_a_file_that_goes_while_the_look_waits_is_no_fault(
    home: Home, waits: Callable[[Callable[[], object]], list[float]]
) -> None:
    waits(dropped(home, "gone.csv", text("a")).unlink)
    assert landing.take_in(home) == landing.TakenIn(0, 0, 0)


def test_files_at_rest_are_not_waited_for(
    home: Home, waits: Callable[[Callable[[], object]], list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = waits(lambda: None)
    dropped(home, "old.csv", text("a"))
    monkeypatch.setattr(landing.time, "time", lambda: time.time() + 60)
    assert landing.take_in(home).new == 1
    assert not waited


def test_a_file_dated_ahead_of_the_clock_is_looked_at_twice_and_taken_in(
    home: Home, waits: Callable[[Callable[[], object]], list[float]]
) -> None:
    ahead = time.time() + 9_000
    os.utime(dropped(home, "ahead.csv", text("a")), (ahead, ahead))
    waited = waits(lambda: None)
    assert landing.take_in(home).new == 1
    assert waited == [30]


# Permissions, and files that are gone


@contextmanager
def not_as_root(home: Home) -> Iterator[None]:
    """Root may read anything: where the tests run as root, another account does what is inside."""
    if os.geteuid():
        yield
        return
    for path in (home.root, *home.root.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_or_folder_that_may_not_be_read_is_left_and_the_others_are_taken_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # the folders of pytest are closed to other accounts
    folder.chmod(0o755)
    try:
        home = Home(folder / "home")
        home.ensure()
        monkeypatch.setenv("HIPTRIAGE_HOME", str(home.root))
        dropped(home, "first.csv", text("a"))
        assert landing.take_in(home).new == 1  # imports what another account may not be able to
        closed = dropped(home, "closed.csv", text("b"))
        closed.chmod(0)
        dropped(home, "open.csv", text("c"))
        (home.landing / "south").mkdir(mode=0)
        with not_as_root(home):
            taken = landing.take_in(home)
        assert taken == landing.TakenIn(new=1, known=1, left=1, passed_over=1)
        with not_as_root(home), pytest.raises(NotReadable):
            sources.register(home, closed, clinic="north", data_kind="live")
    finally:
        shutil.rmtree(folder)


def test_an_empty_archive_is_a_lost_disk_and_refuses_no_file(home: Home) -> None:
    for name in "ab":
        dropped(home, f"{name}.csv", text(name))
    landing.take_in(home)
    elsewhere = home.root / "elsewhere"
    home.archive.rename(elsewhere)
    home.archive.mkdir()
    waiting = sources.pending_batches(home)
    with pytest.raises(WarehouseRefused, match="the archive is empty, though 2 files are in it"):
        intake.load(home, waiting[0])
    assert sources.pending_batches(home) == waiting
    home.archive.rmdir()
    elsewhere.rename(home.archive)
    assert [counts.accepted for counts in loaded(home)] == [2, 2]


# Whose error it is


class PanicException(BaseException):
    """Like that of a library written in Rust, by name and by kind."""


OF_ONE_FILE = {
    "read_failed": [
        ValueError(CANARY),
        RecursionError(CANARY),
        PanicException(CANARY),
        OSError(errno.EIO, CANARY),
        duckdb.ConversionException(CANARY),
        duckdb.ConstraintException(CANARY),
    ],
    "not_loaded": [MemoryError(CANARY), duckdb.OutOfMemoryException(CANARY), OSError(errno.ENOSPC, CANARY)],
}
OF_THE_MACHINE = [
    (duckdb.IOException(f"Corrupt database file {CANARY}"), WarehouseRefused),
    (duckdb.FatalException(CANARY), WarehouseRefused),
    (duckdb.IOException(f"{CANARY}: No space left on device"), NoRoom),
    (OSError(errno.EMFILE, CANARY), WarehouseRefused),
    (OSError(errno.ENOSPC, CANARY), NoRoom),
    (WarehouseBusy("busy"), WarehouseBusy),
    (KeyboardInterrupt(), KeyboardInterrupt),
]


def raises(error: BaseException) -> Callable[..., None]:
    def wrapped(*_: object) -> None:
        raise error

    return wrapped


def test_an_error_of_one_file_refuses_it_with_a_code_and_stops_no_other(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "has_room", lambda _: True)
    expected = []
    for code, errors in OF_ONE_FILE.items():
        for error in errors:
            dropped(home, "bad.csv", text(f"b{len(expected)}"))
            with monkeypatch.context() as broken:
                broken.setattr(intake, "decide", raises(error))
                (counts,) = loaded(home)
            assert counts.refusal == code, error
            assert CANARY not in ledger.sentence(counts)
            place = f"{type(error).__name__} at tests.test_faults_of_files:"
            assert str(counts.refusal_place).startswith(place) if code == "read_failed" else not counts.refusal_place
            expected.append(counts.batch_id)
    dropped(home, "bad.csv", text("good"))
    assert [counts.accepted for counts in loaded(home)] == [2]
    assert replay.waiting(home) == expected
    assert replay.replay(home, expected[0]).released == 2
    with monkeypatch.context() as broken:
        broken.setattr(intake, "decide", raises(ValueError(CANARY)))
        assert replay.replay(home, expected[1]).refusal == "read_failed"
    assert len(replay.waiting(home)) == len(expected) - 1


def test_an_error_of_the_machine_refuses_no_file_and_the_batch_waits(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "has_room", lambda _: False)
    dropped(home, "good.csv", text("a"))
    landing.take_in(home)
    (waiting,) = sources.pending_batches(home)
    for error, kind in OF_THE_MACHINE:
        with monkeypatch.context() as broken:
            broken.setattr(intake, "decide", raises(error))
            with pytest.raises(kind) as raised:
                intake.load(home, waiting)
        assert CANARY not in str(raised.value)
        assert sources.pending_batches(home) == [waiting]
    assert rows(home, "SELECT count(*) FROM intake_valid") == [(0,)]
    assert intake.load(home, waiting).accepted == 2


def test_where_duckdb_fails_over_one_file_the_warehouse_is_opened_again_for_the_others(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        dropped(home, f"{name}.csv", text(name))
    landing.take_in(home)
    first, second, third = sources.pending_batches(home)
    decide, failed = intake.decide, []

    def fails_once(connection: Any, batch: sources.Batch) -> None:
        if batch.batch_id == second:
            failed.append(second)
            raise (duckdb.FatalException if len(failed) == 1 else duckdb.InternalException)(CANARY)
        decide(connection, batch)

    monkeypatch.setattr(intake, "decide", fails_once)
    done = {counts.batch_id: counts.refusal for counts in intake.load_each(home, [first, second, third])}
    assert done == {first: None, second: "read_failed", third: None}


# A clock that goes back


def test_a_clock_that_goes_back_loses_nobody(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)
    newest = HEADER + "a,2026-05-31T10:00:00Z,31\n"
    older = HEADER + "a,2026-05-30T10:00:00Z,30\nb,2026-05-30T10:00:00Z,40\nsoon,2026-06-01T09:00:00Z,50\n"
    arrivals = [(now, newest), (now - timedelta(days=1), older), (now - timedelta(days=1), older.replace("40", "41"))]
    for number, (moment, said) in enumerate(arrivals):
        clock = SimpleNamespace(now=lambda _, moment=moment: moment)
        monkeypatch.setattr(sources, "datetime", clock)
        dropped(home, f"{number}.csv", said)
        assert landing.take_in(home).new == 1
    monkeypatch.undo()
    waiting = sources.pending_batches(home)
    assert len(set(waiting)) == 3
    done = {counts.batch_id: counts for counts in intake.load_each(home, waiting)}
    assert all(counts.balanced and not counts.refusal for counts in done.values())
    assert sum(counts.received for counts in done.values()) == 7
    # Within a day of the clock a form is no form of the future; the newest version is current in whatever order.
    current = rows(home, "SELECT record_id, age_years FROM intake_current ORDER BY 1")
    assert [record for record, _ in current] == ["a", "b", "soon"]
    assert dict(current)["a"] == 31
    # The two files that say different things of b are of one moment: one stands, the other waits for a person.
    assert rows(home, "SELECT record_id, problems[1].code FROM intake_waiting") == [("b", "conflicting_version")]


def test_with_a_clock_that_is_years_behind_forms_wait_among_the_unread_ones(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "datetime", SimpleNamespace(now=lambda _: datetime(2001, 1, 1, tzinfo=UTC)))
    dropped(home, "a.csv", text("a"))
    landing.take_in(home)
    assert sources.long_waiting(home) == 0
    monkeypatch.undo()
    assert sources.long_waiting(home) == 1
    (counts,) = loaded(home)
    assert counts.quarantined == 2
    assert set(rows(home, "SELECT problems[1].code FROM intake_waiting")) == {("in_future",)}
    assert rows(home, "SELECT count(*) FROM intake_unread") == [(2,)]


# A disk that is full


class FullDisk:
    """A small disk of its own with a home on it, and a file that takes up the rest."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self._filler = folder / "filler"

    def fill(self, *, leaving: int) -> None:
        """Leave this many bytes."""
        status = os.statvfs(self._filler.parent)
        with self._filler.open("wb") as filler:
            for _ in range((status.f_bavail * status.f_frsize - leaving) >> 16):
                filler.write(bytes(1 << 16))

    def empty(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FullDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        disk = FullDisk(folder)
        disk.home.ensure()
        monkeypatch.setenv("HIPTRIAGE_HOME", str(disk.home.root))
        yield disk
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_stops_the_archive_the_load_and_the_checkpoint_and_loses_nothing(disk: FullDisk) -> None:
    home = disk.home
    dropped(home, "large.csv", text("a", 20_000))
    with opened(home, "make the tables"):
        pass
    disk.fill(leaving=200_000)
    with pytest.raises(NoRoom, match="no room left to keep a copy of a file: make room and start again"):
        landing.take_in(home)
    assert not list(home.archive.iterdir())
    disk.empty()

    landing.take_in(home)
    (large,) = sources.pending_batches(home)
    for leaving in (0, 1_000_000):
        disk.fill(leaving=leaving)
        with pytest.raises(NoRoom, match="no room left to load a batch"):
            intake.load(home, large)
        disk.empty()
    assert sources.pending_batches(home) == [large]
    assert rows(home, "SELECT count(*) FROM intake_raw") == [(0,)]

    dropped(home, "small.csv", text("b", 300))
    landing.take_in(home)
    (small,) = (batch for batch in sources.pending_batches(home) if batch != large)
    with kept_open(home, "load batches"):
        counts = intake.load(home, small)
        disk.fill(leaving=0)  # what was committed cannot be written into the file itself now
    assert ledger.counts_of(home, small) == counts
    with pytest.raises(NoRoom):
        intake.load(home, large)
    disk.empty()

    assert [done.accepted for done in loaded(home)] == [20_000]
    assert rows(home, "SELECT sum(received), sum(accepted) FROM intake_ledger") == [(20_300, 20_300)]
    assert rows(home, "SELECT count(*) FROM intake_current") == [(20_300,)]


def test_a_file_that_is_too_large_for_a_disk_with_room_for_others_is_refused(
    disk: FullDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "ROOM_BYTES", 100_000)
    home = disk.home
    dropped(home, "large.csv", text("a", 20_000))
    dropped(home, "small.csv", text("b"))
    landing.take_in(home)
    disk.fill(leaving=1_500_000)
    done = sorted((counts.received, counts.refusal) for counts in loaded(home))
    assert done == [(0, "not_loaded"), (2, None)]
    disk.empty()
    (large,) = replay.waiting(home)
    assert replay.replay(home, large).released == 20_000


def test_a_name_in_another_encoding_stops_no_file(home: Home) -> None:
    other = dropped(home, "z.csv", text("other"))
    strange = other.with_name(os.fsdecode(b"A M\xfcller.csv"))
    strange.write_text(text("strange"))
    for file in (other, strange):
        os.utime(file, (1, 1))
    assert [counts.accepted for counts in loaded(home)] == [2, 2]


def test_a_file_without_a_clinic_that_no_reader_can_look_into_stops_no_other(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError(CANARY)

    dropped(home, "z.csv", text("other"))
    (home.landing / "a.csv").write_text(text("first"))
    monkeypatch.setattr(sources, "plan_of", fails)
    assert landing.take_in(home).new == 2


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ESTALE, errno.ETIMEDOUT])
def test_an_archive_that_the_machine_cannot_reach_refuses_no_batch(
    home: Home, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    dropped(home, "good.csv", text("good"))
    landing.take_in(home)
    (batch,) = sources.pending_batches(home)
    opens = Path.open

    def cannot(file: Path, *given: Any, **named: Any) -> Any:
        if file.parent == home.archive:
            raise OSError(number, os.strerror(number))
        return opens(file, *given, **named)

    with monkeypatch.context() as while_away:
        while_away.setattr(Path, "open", cannot)
        with pytest.raises(WarehouseRefused, match=errno.errorcode[number]):
            intake.load(home, batch)
    assert intake.load(home, batch).accepted == 2
