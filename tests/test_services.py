"""The real services on an empty installation: files are dropped, and their people stand on the worklist by themselves.

One start of ``hiptriage dev`` for all that is asked of it, because it takes as long as a test file. Times are bounded
from above only by what a hanging service would take.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest

from pipelines.runs.batches_under_way import IN_PROGRESS
from tests.commands import PROGRAM
from tests.forked import KILLED, Commands
from warehouse.home import Home
from warehouse.snapshot_reading import Snapshot, SnapshotMissing, connect, current_snapshot

pytestmark = pytest.mark.slow

PATIENCE = 600.0
SETTINGS = """
data_kind = "sample"
landing_settle_seconds = 0
[automation]
landing_seconds = 2
following_seconds = 2
reconcile_cron = "0 0 1 1 *"
"""
HEADER = (
    "record_id,submitted_at,age_years,sex,weight_bearing,systemic__fever,rest_pain,pain_site__groin,side,"
    "duration_weeks\n"
)
GOOD = (
    HEADER
    + "a,2026-01-02T10:00:00Z,31,female,normal,0,0,1,left,3\n"
    + "b,2026-01-02T11:00:00Z,31,female,cannot,1,1,1,right,1\n"
    + "c,2026-01-02T12:00:00Z,44,male,hops,0,0,1,left,3\n"  # one cell that cannot be read
)
MORE = HEADER + "d,2026-01-03T10:00:00Z,52,female,normal,0,0,1,left,2\n"
REFUSED = b"%PDF-1.7 no records here"
SCORING = "__ASSET_JOB"  # the name under which Dagster runs what declarative automation asks for


def until(what: str, found: Callable[[], Any], alive: Callable[[], bool] = lambda: True) -> Any:
    """What ``found`` gives once it gives something."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends and alive():
        if (value := found()) is not None:
            return value
        time.sleep(0.5)
    pytest.fail(f"it did not come to this: {what}")


class Services(NamedTuple):
    """``hiptriage dev`` at work on a home."""

    home: Home
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, query: str) -> dict[str, Any] | None:
        """Ask the UI's own interface; None while it does not answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                data = json.load(answer)["data"]
                return data if isinstance(data, dict) else None
        except OSError:
            return None

    def until(self, what: str, found: Callable[[], Any]) -> Any:
        try:
            return until(what, found, lambda: self.process.poll() is None)
        except pytest.fail.Exception:
            print(self.log.read_text()[-8000:], *[(run.job_name, run.status) for run in self.runs()])
            raise

    def runs(self) -> list[dg.DagsterRun]:
        with dg.DagsterInstance.from_config(str(self.home.dagster)) as instance:
            return list(instance.get_runs())

    def finished(self) -> dict[str, int] | None:
        """Runs by job; None while one is at work."""
        runs = self.runs()
        if any(run.status in IN_PROGRESS for run in runs):
            return None
        assert {run.status for run in runs} <= {dg.DagsterRunStatus.SUCCESS}, [(r.job_name, r.status) for r in runs]
        return {name: sum(run.job_name == name for run in runs) for name in {run.job_name for run in runs}}

    def state_of_batch(self, clinic: str) -> str:
        """What the page of a clinic's only batch says of it."""
        with dg.DagsterInstance.from_config(str(self.home.dagster)) as instance:
            batches = [key for key in instance.get_dynamic_partitions("batch") if key.startswith(f"{clinic}.")]
            asked = dg.AssetRecordsFilter(dg.AssetKey("intake_raw"), asset_partitions=batches)
            (record,) = instance.fetch_materializations(asked, limit=1).records
        assert record.asset_materialization
        return str(record.asset_materialization.metadata["state"].value)

    def snapshot_with(self, referrals: int) -> Snapshot | None:
        """The current snapshot if it holds so many referrals."""
        try:
            snapshot = current_snapshot(self.home)
        except SnapshotMissing:
            return None
        held = sum(of["rows"]["referrals"] for of in snapshot.manifest["clinics"].values())
        return snapshot if held == referrals else None


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    root = tmp_path_factory.mktemp("services")
    home = Home(root / "home")
    home.ensure()
    (home.root / "settings.toml").write_text(SETTINGS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    log = root / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, "dev", "--port", str(port)],
            env=os.environ | {"HIPTRIAGE_HOME": str(home.root)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a group of its own, which ends with the test and nothing else does
        )
    try:
        yield Services(home, process, port, log)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


REPOSITORY = 'repositoryName: "__repository__", repositoryLocationName: "hiptriage"'
JOB = f'{{ pipelineOrError(params: {{{REPOSITORY}, pipelineName: "landing"}}) {{ __typename }} }}'
SWITCHES = """{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name }
    sensors { name sensorState { status } } schedules { name scheduleState { status } } } } } }"""
TICKS = f"""{{ sensorsOrError(repositorySelector: {{{REPOSITORY}}}) {{ ... on Sensors {{
    results {{ name sensorState {{ ticks(limit: 100) {{ status }} }} }} }} }} }}"""


def test_files_that_are_dropped_stand_on_the_worklist_by_themselves(services: Services) -> None:
    def loaded() -> dict[str, Any] | None:
        nodes = ((services.ask(SWITCHES) or {}).get("repositoriesOrError") or {}).get("nodes")
        return nodes[0] if nodes else None

    started = time.monotonic()
    location = services.until("the UI shows the code location", loaded)
    print(f"services up after {time.monotonic() - started:.0f} s")
    assert location["location"]["name"] == "hiptriage"
    on = {sensor["name"] for sensor in location["sensors"] if sensor["sensorState"]["status"] == "RUNNING"}
    assert {"landing_folder", "waiting_batches", "automation", "unpublished_work", "dead_runs"} <= on
    found = services.ask(JOB)
    assert found and found["pipelineOrError"]["__typename"] == "Pipeline", "the links of checks lead to the job"

    for clinic, content in (("north", GOOD.encode()), ("south", REFUSED)):
        (services.home.landing / clinic).mkdir()
        (services.home.landing / clinic / "Jane Canary.csv").write_bytes(content)
    dropped = time.monotonic()
    first = services.until("the snapshot holds two referrals", lambda: services.snapshot_with(2))
    print(f"published {time.monotonic() - dropped:.0f} s after the drop")
    with connect(first) as connection:
        rows = connection.execute(
            "SELECT clinic_id, record_id, effective_tier FROM worklist ORDER BY record_id"
        ).fetchall()
        unread = connection.execute("SELECT clinic_id, count(*) FROM unread_forms GROUP BY ALL ORDER BY 1").fetchall()
    assert [row[:2] for row in rows] == [("north", "a"), ("north", "b")]
    assert rows[1][2] == "emergency"
    assert unread == [("north", 1)], "the form with a bad cell is told"
    assert services.state_of_batch("south") == "refused whole", "and so is the bad file"
    once = services.until("every run has ended well", services.finished)
    assert set(once) == {"landing", "intake", SCORING}, "nothing else was started"
    assert (once["landing"], once["intake"]) == (1, 1)
    # A look of automation between two events of one run of intake makes one run more; no more than that.
    assert 1 <= once[SCORING] <= 3

    (services.home.landing / "north" / "Jane Canary 2.csv").write_text(MORE)
    dropped = time.monotonic()
    services.until("the snapshot holds three referrals", lambda: services.snapshot_with(3))
    print(f"published {time.monotonic() - dropped:.0f} s after the second drop")
    # The same bytes under another name start nothing, and a quiet home stays quiet for some looks of every sensor.
    (services.home.landing / "north" / "again.csv").write_text(MORE)

    def looks() -> dict[str, int]:
        results = ((services.ask(TICKS) or {}).get("sensorsOrError") or {}).get("results", [])
        return {sensor["name"]: len(sensor["sensorState"]["ticks"]) for sensor in results}

    twice = services.until("every run has ended well", services.finished)
    before = looks()
    watched = ("landing_folder", "waiting_batches", "unpublished_work")
    services.until(
        "every sensor has looked some more times",
        lambda: True if all(looks().get(name, 0) >= min(100, before[name] + 3) for name in watched) else None,
    )
    assert services.until("every run has ended well", services.finished) == twice, "a quiet home starts nothing"
    assert (twice["landing"], twice["intake"]) == (2, 2)
    assert once[SCORING] < twice[SCORING] <= once[SCORING] + 3
    with dg.DagsterInstance.from_config(str(services.home.dagster)) as instance:
        for state in instance.all_instigator_state():
            assert "Canary" not in str(state), "no name of a file in a cursor"


def test_a_run_that_was_killed_is_marked_when_the_next_begins(commands: Commands, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.ensure()
    (home.root / "settings.toml").write_text('data_kind = "sample"\n')
    file = tmp_path / "good.csv"
    file.write_text(GOOD)
    step = "warehouse.intake:decide:after"
    assert commands("run", file, "--clinic", "north", home=home.root, step=step).code == KILLED
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.STARTED]
        assert commands("run", home=home.root).code == 3
        assert [run.status for run in instance.get_runs()] == [
            dg.DagsterRunStatus.SUCCESS,
            dg.DagsterRunStatus.FAILURE,
        ]
