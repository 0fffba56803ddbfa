"""A run killed with SIGKILL between any two steps: the next run ends, the counts add up, nobody sees half a batch.

The runs die one after the other, each further on than the one before and each in a copy of the home that the one before
left, so that every run but the first starts from what dead ones left. The homes before and after the moment at which
a stage takes effect are also run to the end.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from tests.forked import KILLED, Commands
from warehouse.home import Home
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.store import opened

pytestmark = pytest.mark.slow

LOADED, SWAPPED = "warehouse.intake:load:after", "warehouse.snapshots:_swap_pointer:after"
SEALED, RETIRED = "warehouse.snapshots:_seal:after", "warehouse.snapshots:retire:after"
# In the order of a run. Each is one place where the process may vanish.
STEPS = (
    "warehouse.archive:_copy:after",
    "warehouse.landing:register:after",
    "warehouse.staging:_stage_split:after",
    "warehouse.intake:decide:after",
    "warehouse.intake:load_records:after",
    "warehouse.ledger:write:after",
    LOADED,
    "warehouse.scores:write_unread:after",
    "warehouse.scores:write:before",
    "warehouse.scores:write:after",
    "warehouse.snapshot_building:_write:after",
    "warehouse.snapshots:_write_manifest:after",
    "warehouse.quarantine_copy:_put_in_place:before",
    SEALED,
    SWAPPED,
    RETIRED,
)
# The last before a transaction or a renaming takes effect, and the first after it. The others leave what the last of
# their stage leaves, and the run that dies at the next step shows that it is got over.
RUN_TO_THE_END = (
    "warehouse.ledger:write:after",
    LOADED,
    "warehouse.scores:write:after",
    SEALED,
    SWAPPED,
    RETIRED,
)
# With Dagster, which keeps a record of its own of what ran: before its run, in the middle of a batch, while it
# publishes; and how many batches are loaded then.
STEPS_OF_DAGSTER = {
    "pipelines.materialise:_run:before": 1,
    "warehouse.intake:decide:after": 1,
    "warehouse.snapshots:_write_manifest:after": 2,
}
RECORDS = 12
KEPT = RECORDS - 4  # referrals of one delivery


def file_of(number: int) -> str:
    """A delivery of its own: accepted, duplicate, superseded and refused records."""
    rows = [
        f"r{number}-{place},2026-01-{1 + place % 9:02d}T10:00:00Z,{20 + place},{place % 2},limp"
        for place in range(KEPT)
    ]
    rows += [rows[0], rows[1].replace("2026", "2025"), rows[2].replace("limp", "hobbles"), "short,row"]
    return "record_id,submitted_at,age_years,systemic__fever,weight_bearing\n" + "\n".join(rows) + "\n"


class Left(NamedTuple):
    """What a run left that was to be killed at a step."""

    home: Home
    code: int


@pytest.fixture(scope="module")
def delivered(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One delivery published, the next one landed. One snapshot is kept, so that every publication removes one."""
    home = Home(tmp_path_factory.mktemp("delivered"))
    home.root.chmod(0o700)
    home.ensure()
    (home.root / "settings.toml").write_text('data_kind = "sample"\nsnapshots_kept = 1\nsnapshot_days = 0\n')
    folder = home.landing / "north"
    folder.mkdir()
    (folder / "1.csv").write_text(file_of(1))
    done = commands("run", home=home.root, with_dagster=False)
    assert done.code == 3, done.err  # done, with rows quarantined
    (folder / "2.csv").write_text(file_of(2))
    return home


@pytest.fixture(scope="module")
def left(commands: Commands, delivered: Home, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Left]:
    """For each step, the home as the run that was killed there left it."""
    found: dict[str, Left] = {}
    last = delivered
    for step in STEPS:
        # When the pointer is swapped a run has nothing left to do, and would not get to what comes after.
        home = copied(found[SEALED].home if step == RETIRED else last, tmp_path_factory.mktemp("left"))
        found[step] = Left(home, commands("run", home=home.root, step=step, with_dagster=False).code)
        last = home
    return found


def copied(home: Home, folder: Path) -> Home:
    return Home(Path(shutil.copytree(home.root, folder / "home", symlinks=True)))


def published(home: Home) -> int:
    """Referrals in the current snapshot, read as a clinician would; every file is as its manifest says."""
    snapshot = current_snapshot(home)
    manifest = json.loads((snapshot.path / "manifest.json").read_text())
    with connect(snapshot) as connection:
        (count,) = connection.execute("SELECT count(*) FROM referrals").fetchall()[0]
    assert count == sum(clinic["rows"]["referrals"] for clinic in manifest["clinics"].values())
    return int(count)


def loaded(home: Home) -> int:
    """Loaded batches. Every one of them adds up, and nothing belongs to a batch that is not loaded."""
    with opened(home, "check") as connection:
        batches = connection.execute(
            "SELECT batch_id, received, accepted + quarantined + duplicate + superseded, accepted + superseded "
            "FROM intake_ledger"
        ).fetchall()
        for batch_id, received, disposed, kept in batches:
            assert received == disposed == RECORDS
            for table, expected in (
                ("intake_raw", RECORDS + 1),
                ("intake_disposition", RECORDS),
                ("intake_valid", kept),
            ):
                (count,) = connection.execute(
                    f"SELECT count(*) FROM {table} WHERE batch_id = ?", [batch_id]
                ).fetchall()[0]
                assert count == expected, table
        strays = connection.execute(
            "SELECT count(*) FROM (SELECT batch_id FROM intake_raw UNION ALL SELECT batch_id FROM intake_valid "
            "UNION ALL SELECT batch_id FROM intake_quarantine) ANTI JOIN intake_ledger USING (batch_id)"
        ).fetchall()
        assert strays == [(0,)]
        records = connection.execute("SELECT count(*) FROM intake_current").fetchall()
    assert records == [(KEPT * len(batches),)]
    return len(batches)


def check_the_next_run(commands: Commands, home: Home, *, with_dagster: bool) -> None:
    """It ends, everything is loaded and published once, and nothing half done is left."""
    done = commands("run", home=home.root, with_dagster=with_dagster)
    assert done.code in (0, 3), done.err  # 3 where the batch itself was left to this run
    assert published(home) == 2 * KEPT
    assert loaded(home) == 2
    with duckdb.connect(home.quarantine_copy, read_only=True) as connection:
        assert connection.execute("SELECT count(DISTINCT batch_id) FROM quarantine").fetchall() == [(2,)]
    assert not list(home.archive.glob("incoming-*"))
    assert not list(home.snapshots.glob(".half-*"))


@pytest.mark.parametrize("step", STEPS)
def test_a_run_may_die_anywhere_and_leaves_all_or_nothing_of_a_batch(left: dict[str, Left], step: str) -> None:
    home, code = left[step]
    assert code == KILLED, "the step was never reached"
    was_swapped = STEPS.index(step) >= STEPS.index(SWAPPED)
    was_loaded = STEPS.index(step) >= STEPS.index(LOADED)
    assert published(home) == KEPT * (1 + was_swapped)  # old or new, never between
    assert loaded(home) == 1 + was_loaded


@pytest.mark.parametrize("step", RUN_TO_THE_END)
def test_the_run_after_a_killed_one_ends_it(commands: Commands, left: dict[str, Left], step: str) -> None:
    home, _ = left[step]
    check_the_next_run(commands, home, with_dagster=False)
    # When the pointer was swapped nothing is left to publish, and the next publication retires what this one did not.
    assert step == SWAPPED or len([entry for entry in home.snapshots.iterdir() if entry.is_dir()]) == 1


def test_runs_of_dagster_may_die_one_after_the_other(commands: Commands, delivered: Home, tmp_path: Path) -> None:
    home = copied(delivered, tmp_path)
    for step, batches in STEPS_OF_DAGSTER.items():
        assert commands("run", home=home.root, step=step).code == KILLED, f"{step} was never reached"
        assert published(home) == KEPT
        assert loaded(home) == batches
    check_the_next_run(commands, home, with_dagster=True)
