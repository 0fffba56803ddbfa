"""A run killed with SIGKILL between any two steps: the next run ends, the counts add up, nobody sees half a batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import duckdb
import pytest

from warehouse.home import Home
from warehouse.snapshot_reading import SnapshotMissing, connect, current_snapshot
from warehouse.store import opened

pytestmark = pytest.mark.slow

# In the order of a run. Each is one place where the process may vanish.
STEPS = [
    "warehouse.archive:_copy:after",
    "warehouse.landing:register:after",
    "pipelines.materialise:_run:before",
    "warehouse.intake:_load_block:after",
    "warehouse.intake:_arrive:before",
    "warehouse.intake:_load:after",
    "warehouse.intake:load:after",
    "warehouse.scores:write_unread:after",
    "warehouse.scores:write:before",
    "warehouse.scores:write:after",
    "warehouse.snapshots:_write:after",
    "warehouse.snapshots:_write_manifest:after",
    "warehouse.quarantine_copy:_put_in_place:before",
    "warehouse.snapshots:_seal:after",
    "warehouse.snapshots:_swap_pointer:after",
    "warehouse.snapshots:_retire:after",
]
RECORDS = 12


def file_of(number: int) -> str:
    """A delivery of its own: accepted, duplicate, superseded and refused records."""
    rows = [
        f"r{number}-{place},2026-01-{1 + place % 9:02d}T10:00:00Z,{20 + place},{place % 2},limp"
        for place in range(RECORDS - 4)
    ]
    rows += [rows[0], rows[1].replace("2026", "2025"), rows[2].replace("limp", "hobbles"), "short,row"]
    return "record_id,submitted_at,age_years,systemic__fever,weight_bearing\n" + "\n".join(rows) + "\n"


class Runs:
    """The forking process, fed one step a run."""

    def __init__(self, home: Home) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.killed_run", "run", "--data-kind", "sample"],
            env=os.environ | {"HIPTRIAGE_HOME": str(home.root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, step: str) -> str:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{step}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def runs(home: Home) -> Iterator[Runs]:
    (home.root / "settings.toml").write_text('data_kind = "sample"\nsnapshots_kept = 3\nsnapshot_days = 0\n')
    running = Runs(home)
    with running.process:
        yield running
        running.process.kill()


def published(home: Home) -> int:
    """Referrals in the current snapshot, read as a clinician would; every file is as its manifest says."""
    try:
        snapshot = current_snapshot(home)
    except SnapshotMissing:
        return 0
    manifest = json.loads((snapshot.path / "manifest.json").read_text())
    with connect(snapshot) as connection:
        (count,) = connection.execute("SELECT count(*) FROM referrals").fetchall()[0]
    assert count == sum(clinic["rows"]["referrals"] for clinic in manifest["clinics"].values())
    return int(count)


def check_warehouse(home: Home) -> tuple[int, int]:
    """No half batch: every loaded batch adds up, and nothing belongs to a batch that is not loaded."""
    with opened(home, "check") as connection:
        loaded = connection.execute(
            "SELECT batch_id, received, accepted + quarantined + duplicate + superseded, accepted + superseded "
            "FROM intake_ledger"
        ).fetchall()
        for batch_id, received, disposed, kept in loaded:
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
        (records,) = connection.execute("SELECT count(*) FROM intake_current").fetchall()[0]
    return len(loaded), int(records)


def test_a_run_may_die_anywhere_and_the_next_one_ends_it(home: Home, runs: Runs) -> None:
    folder = home.landing / "north"
    folder.mkdir()
    (folder / "1.csv").write_text(file_of(1))
    assert runs.run("") == "3"  # done, with rows quarantined
    seen = published(home)
    for number, step in enumerate(STEPS, start=2):
        (folder / f"{number}.csv").write_text(file_of(number))
        assert runs.run(step) == "killed", f"{step} was never reached"
        now = published(home)  # old or new, never between
        assert now in (seen, (RECORDS - 4) * number), step
        check_warehouse(home)
        assert runs.run("") in ("0", "3"), step  # 3 where the batch itself was left to this run
        seen = published(home)
        assert seen == (RECORDS - 4) * number, step
        assert check_warehouse(home) == (number, seen), step
        with duckdb.connect(home.quarantine_copy, read_only=True) as connection:
            assert connection.execute("SELECT count(DISTINCT batch_id) FROM quarantine").fetchall() == [(number,)], step
    assert not list(home.archive.glob("incoming-*"))
    assert not [entry for entry in home.snapshots.iterdir() if entry.name.startswith(".half-")]
    assert len([entry for entry in home.snapshots.iterdir() if entry.is_dir()]) <= 3
