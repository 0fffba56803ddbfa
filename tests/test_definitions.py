"""The Dagster project: what is defined, that the tools find it, and that its graph shows in a real browser."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipelines.definitions import hiptriage as definitions
from pipelines.instance import use_instance_of
from tests.commands import PROGRAM
from tests.forked import Commands
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
    assert {job.name for job in definitions().jobs or []} == {"record_path", "rescore", "training"}


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


@pytest.fixture
def ui(commands: Commands, home: Home, tmp_path: Path) -> Iterator[str]:
    """Address of ``hiptriage dev`` over a home with one loaded file; ends with the test."""
    file = tmp_path / "one.csv"
    file.write_text("record_id,submitted_at,age_years\na,2026-01-02T10:00:00Z,30\n")
    assert commands("run", file, "--clinic", "north", home=home.root).code == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (tmp_path / "dev.log").open("w") as log:
        server = subprocess.Popen([PROGRAM, "dev", "--port", str(port)], stdout=log, stderr=log, start_new_session=True)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


@pytest.mark.slow
def test_the_asset_graph_shows_in_a_browser_with_nothing_in_the_way(ui: str, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None and "CI" not in os.environ:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import Error, expect, sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=quiet)
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        for _ in range(90):
            try:
                page.goto(f"{ui}/asset-groups/")
                break
            except Error:
                time.sleep(1)
        for group in GROUPS:
            expect(page.get_by_text(group).first).to_be_visible(timeout=60_000)
        time.sleep(4)  # the first-visit window would come about three seconds after the page
        page.get_by_text("2_intake").last.click(timeout=5_000)
        page.goto(f"{ui}/assets/intake_valid")
        expect(page.get_by_text("Records that the contract accepted").first).to_be_visible(timeout=60_000)
        page.screenshot(path=tmp_path / "asset.png")
        browser.close()
