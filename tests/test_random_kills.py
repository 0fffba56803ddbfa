"""Runs killed with SIGKILL at random points, one after the other in one home: each next run ends, and all adds up.

``tests/test_killed.py`` kills at named steps; here the points are drawn, with seeds of their own, among all calls that
a run makes into DuckDB, SQLite and the file system, and, every third time, from the clock. ``HIPTRIAGE_KILLS`` says how
many runs die (5 in the suite).
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import dagster as dg
import pytest

from tests.forked import KILLED, Commands
from tests.test_killed import KEPT, file_of, loaded, published
from warehouse.home import Home
from warehouse.published_checkup import check_audit
from warehouse.snapshot_files import damaged
from warehouse.snapshot_reading import current_snapshot
from warehouse.store import opened

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("HIPTRIAGE_KILLS", "5"))
EVERY_WITH_DAGSTER, EVERY_BY_THE_CLOCK = 5, 3
DONE = (0, 3)  # 3 where the run itself loaded the batch, some records of which are refused


class Usual(NamedTuple):
    """What a run that nobody kills takes."""

    calls: int
    seconds: float


class Killing(NamedTuple):
    """The home of all runs, what a run usually takes without and with Dagster, and how runs ended so far."""

    home: Home
    usual: dict[bool, Usual]
    codes: Counter[int]
    dead: list[int]  # of Dagster's runs


@pytest.fixture(scope="module")
def killing(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killing]:
    home = Home(tmp_path_factory.mktemp("killing"))
    home.root.chmod(0o700)
    home.ensure()
    (home.root / "settings.toml").write_text('data_kind = "sample"\nsnapshots_kept = 1\nsnapshot_days = 0\n')
    (home.landing / "north").mkdir()
    assert commands("worklist", home=home.root).code == 2  # what answers it has begun
    usual = {}
    for with_dagster in (False, True):
        deliver(home)
        began = time.monotonic()
        done = commands("run", home=home.root, with_dagster=with_dagster, at_call=0)
        assert done.code in DONE, done.err
        usual[with_dagster] = Usual(done.calls, time.monotonic() - began)
    yield Killing(home, usual, Counter(), [])


def deliver(home: Home) -> int:
    """One more file in the landing folder; gives how many there are."""
    number = len(list((home.landing / "north").iterdir())) + 1
    (home.landing / "north" / f"{number}.csv").write_text(file_of(number))
    return number


def check_whole(home: Home) -> None:
    """The published table has every byte of its manifest, and the audit every entry; both are read as others do."""
    snapshot = current_snapshot(home)
    assert not damaged(snapshot.path, snapshot.manifest)
    with opened(home, "check") as connection:
        audited = check_audit(home, connection)
    assert audited.state == "ok", audited.sentence


def waiting(home: Home) -> int:
    """Registered files that are not loaded."""
    with opened(home, "check") as connection:
        ((count,),) = connection.execute(
            "SELECT count(*) FROM intake_file ANTI JOIN intake_ledger USING (batch_id)"
        ).fetchall()
    return int(count)


def statuses(home: Home) -> Counter[dg.DagsterRunStatus]:
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        return Counter(run.status for run in instance.get_runs())


@pytest.mark.parametrize("number", range(1, KILLS + 1))
def test_a_run_killed_at_random_is_ended_by_the_next(commands: Commands, killing: Killing, number: int) -> None:
    home, with_dagster, draw = killing.home, number % EVERY_WITH_DAGSTER == 0, random.Random(f"kill {number}")
    usual = killing.usual[with_dagster]
    seconds = draw.uniform(0, usual.seconds) if number % EVERY_BY_THE_CLOCK == 0 else None
    at_call = None if seconds else draw.randint(1, usual.calls)
    files = deliver(home)
    done = commands("run", home=home.root, with_dagster=with_dagster, at_call=at_call, after_seconds=seconds)
    print(f"kill {number}: {usual}, at call {at_call}, after {seconds} s: ended with {done.code}")
    assert done.code in (KILLED, *DONE), done.err
    killing.codes[done.code] += 1

    # What it left: the file is loaded whole or not at all, and a table of before or after is there for every reader.
    assert loaded(home) in (files - 1, files)
    assert published(home) in (KEPT * (files - 1), KEPT * files)
    check_whole(home)
    if with_dagster:
        found = statuses(home)
        killing.dead.append(found.total() - found[dg.DagsterRunStatus.SUCCESS] - found[dg.DagsterRunStatus.FAILURE])

    done = commands("run", home=home.root, with_dagster=with_dagster)
    assert done.code in DONE, done.err
    assert (loaded(home), waiting(home), published(home)) == (files, 0, KEPT * files)
    check_whole(home)
    assert not [*home.archive.glob("incoming-*"), *home.snapshots.glob(".half-*")]
    if with_dagster:
        assert set(statuses(home)) <= {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}


def test_most_of_them_were_killed(killing: Killing) -> None:
    """What the clock draws may come too late; only runs of Dagster that a dead process left are marked as failed."""
    print(f"codes {dict(killing.codes)}, runs of Dagster left by the dead {killing.dead}")
    assert killing.codes[KILLED] >= 0.6 * killing.codes.total() > 0
    assert statuses(killing.home)[dg.DagsterRunStatus.FAILURE] == sum(killing.dead)
