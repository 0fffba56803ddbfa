"""The Dagster project: what is defined, and that the tools find it. Its pages: ``tests/test_browser.py``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from pipelines.definitions import hiptriage as definitions
from pipelines.instance import use_instance_of
from warehouse.home import Home

PROJECT = Path(__file__).resolve().parent.parent
GROUPS = {
    "1_landing": {"landed_files"},
    "2_intake": {"intake_raw", "intake_valid", "intake_warning", "intake_quarantine"},
    "3_scoring": {"model_in_force", "referral_score", "unread_forms"},
    "4_publication": {"snapshot"},
    "5_training": {"trained_model"},
    "7_monitoring": {"monitoring_plots"},
    "6_shadow": {"shadow_score"},
}
CHECKS = {
    "landed_files:nothing_waits": False,
    "intake_quarantine:refusals": False,
    "intake_raw:loaded": False,
    "intake_raw:reconciliation": True,
    "intake_valid:answer_drift": False,
    "intake_valid:answer_rates": False,
    "intake_valid:contract": True,
    "intake_valid:freshness": False,
    "intake_valid:volume": False,
    "model_in_force:calibration": False,
    "model_in_force:sensitivity": False,
    "model_in_force:usable": False,
    "referral_score:tier_drift": False,
    "snapshot:audit_chain": False,
    "snapshot:publish_gate": True,
    "snapshot:stale": False,
    "trained_model:evaluation_gates": False,
}


@pytest.fixture(scope="module")
def graph() -> dg.AssetGraph:
    return definitions().resolve_asset_graph()


def test_the_groups_read_as_the_path_of_a_record(graph: dg.AssetGraph) -> None:
    found: dict[str, set[str]] = {}
    for key in graph.get_all_asset_keys():
        found.setdefault(str(graph.get(key).group_name), set()).add(key.to_user_string())
    assert found == GROUPS
    for key in graph.get_all_asset_keys():
        group = str(graph.get(key).group_name)
        for parent in graph.get(key).parent_keys:
            upstream = str(graph.get(parent).group_name)
            assert upstream <= group or upstream == "5_training", f"{parent} to {key}"


def test_every_asset_says_what_it_is_and_who_owns_it(graph: dg.AssetGraph) -> None:
    for key in graph.get_all_asset_keys():
        assert graph.get(key).description, key
        assert graph.get(key).owners, key


def test_the_checks_on_contract_and_counts_block(graph: dg.AssetGraph) -> None:
    specs = {
        f"{key.asset_key.to_user_string()}:{key.name}": graph.get_check_spec(key) for key in graph.asset_check_keys
    }
    assert {name: spec.blocking for name, spec in specs.items()} == CHECKS


def test_batches_are_dynamic_partitions_and_runs_stay_in_one_process(graph: dg.AssetGraph) -> None:
    for name in GROUPS["2_intake"]:
        partitions = graph.get(dg.AssetKey(name)).partitions_def
        assert isinstance(partitions, dg.DynamicPartitionsDefinition)
        assert partitions.name == "batch"
    assert definitions().executor is dg.in_process_executor


NAMED = re.compile(r"`([a-z_]+)`")


def table_under(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table under a heading of a page in docs, without its head."""
    section = (PROJECT / "docs" / page).read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def test_the_analysts_day_names_every_sensor_schedule_and_job() -> None:
    found = definitions()
    rows = table_under("analysts-day.md", "What happens by itself")
    switches = {*(sensor.name for sensor in found.sensors or []), *(each.name for each in found.schedules or [])}
    assert {name for row in rows for name in NAMED.findall(row[0])} == switches
    rows = table_under("analysts-day.md", "Jobs")
    assert {name for row in rows for name in NAMED.findall(row[0])} == {job.name for job in found.jobs or []}


def test_operations_says_of_every_red_check_what_to_do() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text("utf-8").partition("| red check |")[2]
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("|")]
    assert {name for row in rows for name in NAMED.findall(row[0])} == {name.partition(":")[2] for name in CHECKS}
    assert all(len(row) == 3 and all(cell.strip() for cell in row) for row in rows[1:])


def test_telemetry_and_the_first_visit_window_are_off(home: Home) -> None:
    instance_folder = use_instance_of(home)
    assert os.environ["DAGSTER_HOME"] == str(instance_folder)
    with dg.DagsterInstance.from_config(str(instance_folder)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["check", "defs"], ["list", "defs", "--json"]])
def test_dagsters_own_tools_find_the_definitions(arguments: list[str], home: Home) -> None:
    use_instance_of(home)
    done = subprocess.run(
        [Path(sys.executable).with_name("dg"), *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if "list" in arguments:
        assert all(name in done.stdout for names in GROUPS.values() for name in names)
