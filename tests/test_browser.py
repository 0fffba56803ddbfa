"""The Dagster UI as an analyst uses it: a real browser, real services, one start of them for all that is asked."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
import yaml

from tests.commands import PROGRAM
from tests.forked import Commands
from tests.test_definitions import GROUPS
from tests.test_promotion import LOCKED, SAME, TWIN, in_table, pointer, store
from warehouse.home import PACKAGE, Home
from warehouse.snapshot_reading import current_snapshot

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

PATIENCE = 240.0  # seconds, only ever spent where something hangs
BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
# Everything that works by itself looks once, when the services begin, and finds nothing to do.
SETTINGS = """
data_kind = "sample"
[automation]
landing_seconds = 3600
following_seconds = 3600
alert_seconds = 3600
reconcile_cron = "0 0 1 1 *"
"""
ENDED = ("SUCCESS", "FAILURE", "CANCELED")


class Services:
    """``hiptriage dev`` on a home, and what it says when it is asked beside the pages."""

    def __init__(self, home: Home, address: str) -> None:
        self.home, self.address = home, address

    def ask(self, query: str) -> Any:
        body = json.dumps({"query": query}).encode()
        request = urllib.request.Request(f"{self.address}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    def runs(self) -> dict[str, tuple[str, str]]:
        """Job and state of each run, by its id."""
        found = self.ask("{runsOrError {... on Runs {results {runId jobName status}}}}")["runsOrError"]["results"]
        return {run["runId"]: (run["jobName"], run["status"]) for run in found}

    def ended(self, run_id: str) -> str:
        """The state of a run once it has ended: pages may still show that of another."""
        until = time.monotonic() + PATIENCE
        while (state := self.runs()[run_id][1]) not in ENDED and time.monotonic() < until:
            time.sleep(0.5)
        return state


@pytest.fixture(scope="module")
def services(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A home with a published table of 40 records and a second model, and the services on it."""
    folder = tmp_path_factory.mktemp("browser")
    home = Home(folder / "home")
    home.ensure()
    (home.root / "settings.toml").write_text(SETTINGS)
    lines = (PACKAGE / "bundled" / "sample-clinic.csv").read_text("utf-8").splitlines()
    forms = folder / "forms.csv"
    forms.write_text("\n".join(lines[:41]) + "\n")
    assert commands("run", forms, home=home.root).code in (0, 3)
    store(home, SAME)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [PROGRAM, "dev", "--port", str(port)],
            env=os.environ | {"HIPTRIAGE_HOME": str(home.root)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield Services(home, f"http://127.0.0.1:{port}")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture(scope="module")
def page(services: Services) -> Iterator[Page]:
    chromium = shutil.which("chromium")
    if chromium is None and "CI" not in os.environ:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(PATIENCE * 1000)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                page.goto(f"{services.address}/asset-groups/")
                break
            except Error:
                if time.monotonic() > until:
                    raise
                time.sleep(1)
        yield page
        browser.close()


@pytest.fixture
def shot(page: Page, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """A picture of where a test ended, for a person to look at."""
    yield
    page.screenshot(path=tmp_path / f"{request.node.name}.png")


def shows(page: Page, text: str) -> None:
    """Wait until the page shows ``text``."""
    page.get_by_text(text).first.wait_for()


def test_the_asset_graph_shows_with_nothing_in_the_way(services: Services, page: Page, shot: None) -> None:
    page.goto(f"{services.address}/asset-groups/")
    for group in GROUPS:
        shows(page, group)
    time.sleep(4)  # the first-visit window would come about three seconds after the page
    page.get_by_text("2_intake").last.click(timeout=30_000)
    page.goto(f"{services.address}/assets/intake_valid")
    shows(page, "Records that the contract accepted")


def test_an_asset_is_materialised_from_its_page(services: Services, page: Page, shot: None) -> None:
    known, before = services.runs(), current_snapshot(services.home).id
    page.goto(f"{services.address}/assets/snapshot")
    page.get_by_role("button", name="Materialize").first.click()
    until = time.monotonic() + PATIENCE
    while not (new := services.runs().keys() - known.keys()) and time.monotonic() < until:
        time.sleep(0.5)
    (run_id,) = new  # nothing else starts a run by itself
    assert services.ended(run_id) == "SUCCESS"
    now = current_snapshot(services.home).id
    assert now != before
    page.goto(f"{services.address}/runs/{run_id}")
    shows(page, "RUN_SUCCESS")
    shows(page, now)


def test_a_model_is_promoted_from_its_launch_form(services: Services, page: Page, shot: None) -> None:
    form = f"{services.address}/locations/hiptriage/jobs/promote/playground"
    page.goto(form)
    shows(page, "Missing required config entries ['by', 'reason', 'second', 'version']")
    assert page.get_by_role("button", name="Launch Run").is_disabled()
    assert pointer(services.home) is None and in_table(services.home) == {LOCKED}

    fields = {"version": TWIN, "by": "Ada", "second": "Ben", "reason": "as reliable", "confirm": True}
    filled = yaml.safe_dump({"ops": {"promote": {"config": fields}}})
    page.goto(f"{form}/setup?{urlencode({'config': filled})}")
    shows(page, "as reliable")
    page.get_by_role("button", name="Launch Run").click()  # waits until the form is accepted
    page.wait_for_url("**/runs/*")
    run_id = page.url.rsplit("/", 1)[1].partition("?")[0]
    assert services.runs()[run_id][0] == "promote" and services.ended(run_id) == "SUCCESS"
    assert pointer(services.home) == TWIN and in_table(services.home) == {TWIN}

    page.goto(f"{services.address}/runs/{run_id}")
    shows(page, f"{TWIN} in place of {LOCKED}")
    page.get_by_text("[Show Markdown]").first.click()
    shows(page, "open referrals would change tier")
    page.goto(f"{services.address}/assets/model_in_force")
    shows(page, TWIN)
