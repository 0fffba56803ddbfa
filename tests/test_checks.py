"""Checks over time, plots, and what the graph says of itself: red where it should be, a next step, and no person."""

from __future__ import annotations

import base64
import fcntl
import os
import re
import shutil
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from models.evaluation.estimates import LEAST_CELL
from models.monitoring.findings import Finding
from pipelines.definitions import hiptriage as definitions
from pipelines.defs.checks import CHECKS
from pipelines.showing import plots
from pipelines.showing.column_schemas import COLUMN_SCHEMAS
from pipelines.showing.monitoring import looking
from pipelines.showing.referral_columns import (
    COLUMN_LINEAGE,
    COLUMN_SCHEMA,
    SCORE_LINEAGE,
    SCORE_SCHEMA,
    SNAPSHOT_LINEAGE,
    SNAPSHOT_SCHEMA,
)
from schemas.referral import scored_schema
from tests.published_home import SECTION_6, at, published, take_in
from warehouse.home import Home
from warehouse.store import opened

CANARIES = ("canary-record", "canary-key", "Jane Canary")


@pytest.fixture(scope="module")
def project() -> dg.Definitions:
    return definitions()


@pytest.fixture(scope="module")
def graph(project: dg.Definitions) -> dg.AssetGraph:
    return project.resolve_asset_graph()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One clinic that sent files on ten days up to today, and its published table."""
    folder = tmp_path_factory.mktemp("checked")
    home = Home(folder / "home")
    rows = [
        {"record_id": f"canary-record-{n}", "patient_key": f"canary-key-{n}", "submitted_at": at(n), "age_years": 30}
        for n in range(20)
    ]
    take_in(home, "north", [*rows, {"record_id": "canary-record-x", "submitted_at": "never"}], folder)
    now = datetime.now(UTC)
    with opened(home, "date for a test") as connection:
        for day in range(1, 10):
            connection.execute(
                "INSERT INTO intake_file VALUES (?, 'north', ?, 'Jane Canary', 'sample', 1, ?)",
                [f"b{day}", f"{day}", now - timedelta(days=day)],
            )
            connection.execute(
                "INSERT INTO intake_ledger BY NAME SELECT * REPLACE (? AS batch_id) FROM intake_ledger LIMIT 1",
                [f"b{day}"],
            )
    published(home)
    return home


@pytest.fixture
def own(made: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The same home, for one test to spoil."""
    home = Home(tmp_path / "home")
    shutil.copytree(made.root, home.root)
    monkeypatch.setenv("HIPTRIAGE_HOME", str(home.root))
    return home


def result(home: Home, name: str, *, days_later: float = 0) -> dg.AssetCheckResult:
    with looking(home, datetime.now(UTC) + timedelta(days=days_later)) as look:
        return CHECKS[name].result(name, CHECKS[name].look(home, look))


def test_every_asset_check_job_schedule_and_sensor_says_what_it_is(
    project: dg.Definitions, graph: dg.AssetGraph
) -> None:
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert all([node.description, node.owners, node.kinds, node.group_name]), key
    for key in graph.asset_check_keys:
        assert graph.get_check_spec(key).description, key
    for named in (*(project.jobs or []), *(project.schedules or []), *(project.sensors or [])):
        assert named.description, named.name


def test_no_check_over_time_blocks_and_each_links_a_job_that_exists(
    project: dg.Definitions, graph: dg.AssetGraph
) -> None:
    jobs = {job.name for job in project.jobs or []}
    keys = {key.name: key for key in graph.asset_check_keys}
    for name, check in CHECKS.items():
        spec = graph.get_check_spec(keys[name])
        assert (spec.asset_key.to_user_string(), spec.blocking) == (check.asset, False)
        assert check.job in jobs


def test_the_path_of_a_record_does_not_take_longer_for_them(project: dg.Definitions) -> None:
    for name in ("record_path", "intake", "score_and_publish"):
        steps = {node.name for node in project.resolve_job_def(name).nodes}
        assert "load_batch" in steps or "snapshot" in steps
        assert "look_after" not in steps


@pytest.mark.parametrize("name", list(CHECKS))
def test_a_fresh_and_small_home_is_green_and_says_when_it_cannot_tell(made: Home, name: str) -> None:
    found = result(made, name)
    assert found.passed, found
    assert "job" not in found.metadata
    if name in ("volume", "answer_drift", "tier_drift", "calibration", "sensitivity"):
        assert "too few to say" in str(found.description)
    told = f"{found.description} {found.metadata}"
    assert not any(canary in told for canary in CANARIES)


@pytest.mark.parametrize(
    ("name", "days_later", "severity"),
    [("freshness", 30, dg.AssetCheckSeverity.WARN), ("stale", 1, dg.AssetCheckSeverity.ERROR)],
)
def test_silence_and_age_turn_red_by_the_clock(
    made: Home, name: str, days_later: float, severity: dg.AssetCheckSeverity
) -> None:
    found = result(made, name, days_later=days_later)
    assert (found.passed, found.severity) == (False, severity)
    assert found.metadata["next step"].value == CHECKS[name].next_step
    assert str(found.metadata["job"].value).endswith(f"/jobs/{CHECKS[name].job}/playground")


def test_a_changed_or_missing_entry_breaks_the_audit(own: Home) -> None:
    with opened(own, "spoil for a test") as connection:
        ((last,),) = connection.execute("SELECT max(entry_number) FROM audit").fetchall()
        connection.execute("DELETE FROM audit WHERE entry_number = ?", [last])
    # The chain that is left is whole by itself: the snapshot says that there was more.
    found = result(own, "audit_chain")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert f"entry {last} " in str(found.description)
    with opened(own, "spoil for a test") as connection:
        connection.execute("UPDATE audit SET reason = 'another' WHERE entry_number = 1")
    assert "entry 1 " in str(result(own, "audit_chain").description)


def test_dangerous_conditions_missed_beyond_chance_are_an_error(own: Home) -> None:
    now = datetime.now(UTC)
    with opened(own, "tell outcomes for a test") as connection:
        connection.execute(
            "INSERT INTO referral_score SELECT s.* REPLACE (record_id || '-' || n AS record_id) "
            "FROM referral_score s CROSS JOIN range(3) t(n)"
        )
        connection.execute(
            "INSERT INTO intake_valid SELECT s.* REPLACE (record_id || '-' || n AS record_id) "
            "FROM intake_valid s CROSS JOIN range(3) t(n)"
        )
        connection.execute(
            "INSERT INTO outcome SELECT batch_id, record_number, $now, 'h', record_id, clinic_id, submitted_at, $now, "
            "true, 'septic_arthritis', NULL, 'laboratory', 'no', NULL, NULL, NULL FROM intake_valid",
            {"now": now},
        )
    found = result(own, "sensitivity", days_later=0.01)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "about 80 people" in str(found.metadata["all clinics"].value)
    assert found.metadata["job"].value.endswith("/jobs/suspend/playground")


def test_a_check_waits_for_whoever_writes(made: Home) -> None:
    ready, told = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with (made.root / "warehouse.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.write(ready[1], b"r")
            time.sleep(0.5)
            os.write(told[1], b"d")
        os._exit(0)
    os.read(ready[0], 1)
    assert result(made, "audit_chain").passed
    os.set_blocking(told[0], False)
    assert os.read(told[0], 1) == b"d"
    os.waitpid(child, 0)
    for end in (*ready, *told):
        os.close(end)


@pytest.mark.slow
def test_the_job_runs_plots_and_checks_and_no_red_one_fails_it(own: Home, project: dg.Definitions) -> None:
    with opened(own, "spoil for a test") as connection:
        connection.execute("UPDATE audit SET reason = 'another' WHERE entry_number = 1")
    with dg.DagsterInstance.ephemeral() as instance:
        done = project.resolve_job_def("monitoring").execute_in_process(instance=instance, raise_on_error=False)
        (event,) = done.get_asset_materialization_events()
    assert done.success
    assert {check.check_name for check in done.get_asset_check_evaluations()} == set(CHECKS)
    assert {c.check_name for c in done.get_asset_check_evaluations() if not c.passed} == {"audit_chain"}
    entries = event.materialization.metadata
    assert set(entries) == {"arrivals", "tiers over time", "quarantine codes", "drift", "calibration", "changes"}
    text = " ".join(str(entry.value) for entry in entries.values())
    assert not any(canary in text for canary in CANARIES)
    assert "data:image/png;base64," in text


WEEKS = {date(2026, 1, 5) + timedelta(weeks=n): {"soon": 9 + n, "routine": 3 * n, "emergency": 2} for n in range(8)}
FINDINGS = [Finding("night_pain", "moved", "s", {"distance": 0.4}), Finding("sex", "ok", "s", {"distance": 0.01})]
DRAWN = {
    "tiers": lambda: plots.tiers_over_time({"north": WEEKS, "south": WEEKS}),
    "refusals": lambda: plots.refusals(
        {"north": {"bad_time": 40, "bad_key": 3, "too_long": 20}, "south": {"bad_time": 12}}
    ),
    "changes": lambda: plots.changes({"soon": {"soon": 70, "urgent": 11}, "urgent": {"urgent": 30, "routine": 9}}),
    "drift": lambda: plots.drift({"north": FINDINGS, "south": []}, [Finding("north", "ok", "s", {"distance": 0.02})]),
    "arrivals": lambda: plots.arrivals({"north": {day: 10 + sum(c.values()) for day, c in WEEKS.items()}}),
}


@pytest.mark.parametrize("name", list(DRAWN))
def test_every_plot_is_a_small_picture_with_the_same_in_a_table(name: str) -> None:
    text = DRAWN[name]()
    (encoded,) = re.findall(r"!\[[^\]]+\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", text)
    assert base64.b64decode(encoded).startswith(b"\x89PNG")
    assert len(encoded) < 60_000
    cells = [cell.strip() for line in text.splitlines() if line.startswith("|") for cell in line.split("|")[1:-1]]
    assert cells
    assert not [cell for cell in cells if cell.isdigit() and int(cell) < LEAST_CELL]


def test_nothing_to_draw_says_so() -> None:
    empty = [plots.tiers_over_time({}), plots.refusals({}), plots.changes({}), plots.drift({}, []), plots.arrivals({})]
    empty.append(plots.reliability([], "title", "about."))
    assert not any("data:image" in text or "|" in text for text in empty)


def test_columns_of_every_table_are_described_and_come_from_columns_that_exist(graph: dg.AssetGraph) -> None:
    score, snapshot = SCORE_SCHEMA[COLUMN_SCHEMA], SNAPSHOT_SCHEMA[COLUMN_SCHEMA]
    assert [column.name for column in score.columns] == scored_schema().names
    assert {column.name for column in snapshot.columns} == set(SECTION_6)
    assert all(column.description for column in (*score.columns, *snapshot.columns))
    sources = {"intake_valid": COLUMN_SCHEMAS["intake_valid"], "referral_score": score}
    for lineage, table in ((SCORE_LINEAGE, score), (SNAPSHOT_LINEAGE, snapshot)):
        for name, deps in lineage[COLUMN_LINEAGE].deps_by_column.items():
            assert name in {column.name for column in table.columns}
            for dep in deps:
                of_source = {column.name for column in sources[dep.asset_key.to_user_string()].columns}
                assert dep.column_name in of_source
    for name in ("intake_valid", "referral_score", "snapshot", "unread_forms"):
        assert COLUMN_SCHEMA in graph.get(dg.AssetKey(name)).metadata
