"""Many small batches, two runs that compete for them, readers all the while: nothing is lost, nobody meets a lock.

``HIPTRIAGE_SOAK`` says how many batches (12 in the suite; each costs about half a second whatever it holds).
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.commands import Done
from tests.forked import Commands
from warehouse.home import Home
from warehouse.published_checkup import check_audit
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.store import opened

pytestmark = pytest.mark.slow

FILES = int(os.environ.get("HIPTRIAGE_SOAK", "12"))
SHARED = FILES // 5  # are given to both runs
ROUNDS = 3  # in each of which both run at the same time
HEADER = "record_id,submitted_at,age_years,systemic__fever,weight_bearing\n"
# What users would read if a lock came through to them: DuckDB's, SQLite's and our own words.
OF_A_LOCK = ("lock on file", "conflicting lock", "is locked", "is busy", "traceback", "error")
WAITING = "waiting for the warehouse"
STOP = "stop"


def rows_of(number: int) -> list[str]:
    """One to three records of a file of its own; the first of every tenth file cannot be read."""
    return [
        f"r{number}-{place},2026-01-{1 + number % 28:02d}T10:00:00Z,"
        f"{'old' if number % 10 == 0 and place == 0 else 20 + number % 60},{number % 2},limp\n"
        for place in range(1 + number % 3)
    ]


class Soaked(NamedTuple):
    home: Home
    runs: list[Done]
    again: Done  # a run after all of them
    readers: dict[str, Done]
    seconds: float


@pytest.fixture(scope="module")
def soaked(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Soaked:
    home = Home(tmp_path_factory.mktemp("soaked"))
    home.root.chmod(0o700)
    home.ensure()
    (home.root / "settings.toml").write_text('data_kind = "sample"\nsnapshots_kept = 2\nsnapshot_days = 0\n')
    folder = tmp_path_factory.mktemp("forms")
    files = [folder / f"{number}.csv" for number in range(FILES)]
    for number, file in enumerate(files):
        file.write_text(HEADER + "".join(rows_of(number)))
    assert commands("run", files[1], "--clinic", "north", home=home.root, with_dagster=False).code == 0
    began = time.monotonic()
    reading = {name: commands.begin(home=home.root, function=f"tests.test_soak:{name}") for name in READERS}
    half = (FILES + SHARED) // 2
    ours, theirs = files[:half], files[: -half - 1 : -1]  # they meet in the middle
    runs = []
    for turn in range(ROUNDS):
        both = [
            commands.begin(
                "run", *given[turn::ROUNDS], "--clinic", "north", home=home.root, with_dagster=turn == ROUNDS - 1
            )
            for given in (ours, theirs)
        ]
        runs += [ended() for ended in both]
    again = commands("run", home=home.root)
    (home.root / STOP).touch()
    return Soaked(home, runs, again, {name: ended() for name, ended in reading.items()}, time.monotonic() - began)


def until_told(home: Home) -> Iterator[None]:
    """Again and again, until the runs are over; or until nobody is there to say so."""
    parent = os.getppid()
    while not (home.root / STOP).exists() and os.getppid() == parent:
        yield
        time.sleep(0.5)


def keeps_one_open(home: Home) -> None:
    """A reader who never lets go of the snapshot that was there at the beginning."""
    snapshot, looks = current_snapshot(home), 0
    with connect(snapshot) as connection:
        first = connection.execute("SELECT * FROM referrals ORDER BY ALL").fetchall()
        for _ in until_told(home):
            assert connection.execute("SELECT * FROM referrals ORDER BY ALL").fetchall() == first
            looks += 1
    print(snapshot.id, len(first), looks)


def opens_again_and_again(home: Home) -> None:
    """Readers who each ask for the current snapshot: it holds what its manifest says, by one version of everything."""
    seen = Counter[str]()
    for _ in until_told(home):
        snapshot = current_snapshot(home)
        with connect(snapshot) as connection:
            found = connection.execute(
                "SELECT (SELECT count(*) FROM referrals), (SELECT count(*) FROM unread_forms), "
                "(SELECT count(DISTINCT (model_version, rules_version, catalogue_version, contract_version)) "
                "FROM referrals)"
            ).fetchone()
        rows = [clinic["rows"] for clinic in snapshot.manifest["clinics"].values()]
        expected = (sum(of["referrals"] for of in rows), sum(of["unread_forms"] for of in rows), 1)
        assert found == expected, (found, expected)
        seen[snapshot.id] += 1
    print(len(seen), seen.total())


READERS = ("keeps_one_open", "opens_again_and_again")


def test_no_run_and_no_reader_meets_a_lock(soaked: Soaked) -> None:
    for done in (*soaked.runs, soaked.again, *soaked.readers.values()):
        assert not [words for words in OF_A_LOCK if words in (done.out + done.err).lower()], done.err
    assert {done.code for done in soaked.runs} <= {0, 3}
    assert soaked.again.code == 0 and "nothing new" in soaked.again.out
    assert any(WAITING in done.err for done in soaked.runs)  # they did compete


def test_every_record_is_there_once_or_was_refused(soaked: Soaked) -> None:
    written = {row.partition(",")[0] for number in range(FILES) for row in rows_of(number)}
    refused = {row.partition(",")[0] for number in range(FILES) for row in rows_of(number) if ",old," in row}
    with connect(current_snapshot(soaked.home)) as connection:
        shown = [name for (name,) in connection.execute("SELECT record_id FROM referrals").fetchall()]
        unread = [name for (name,) in connection.execute("SELECT record_id FROM unread_forms").fetchall()]
    assert sorted(shown) == sorted(written - refused)
    assert sorted(unread) == sorted(refused)


def test_every_file_is_one_batch_and_adds_up(soaked: Soaked) -> None:
    with opened(soaked.home, "check") as connection:
        counts = connection.execute(
            "SELECT received, accepted + quarantined + duplicate + superseded FROM intake_ledger "
            "WHERE event = 'arrival'"
        ).fetchall()
        files = connection.execute("SELECT count(*), count(DISTINCT sha256) FROM intake_file").fetchall()
        audited = check_audit(soaked.home, connection)
    assert audited.state == "ok", audited.sentence
    assert sorted(counts) == sorted((len(rows_of(number)),) * 2 for number in range(FILES))
    assert files == [(FILES, FILES)]


def test_readers_saw_whole_tables_all_the_time(soaked: Soaked) -> None:
    for name, done in soaked.readers.items():
        assert done.code == 0, (name, done.err)
    kept, again = (soaked.readers[name].out.split() for name in READERS)
    print(f"{soaked.seconds:.0f} s; the snapshot kept open read {kept[2]} times; {again[0]} seen in {again[1]} looks")
    assert not (soaked.home.snapshots / kept[0]).exists()  # read to the end all the same
    assert int(kept[2]) > ROUNDS and int(again[0]) > 2
