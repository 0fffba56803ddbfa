"""The clinicians' page for tests: a published home of sample records, the real server on it, and a real browser.

``tests.conftest`` makes fixtures of it: ``sample_home`` (one a worker, to be copied, never changed), ``served`` (a copy
of it with ``hiptriage serve`` on it, one a test file), ``browser`` and ``page`` (an empty tab, one a test). Whoever
needs other settings or another home uses ``serving``. Tests that need no browser use ``client`` in process.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands import PROGRAM
from tests.forked import Commands
from warehouse.home import PACKAGE, Home

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from starlette.testclient import TestClient

CLINIC, OTHER_CLINIC = "sample-clinic", "south"
# Records of CLINIC beyond one page of the list, with each kind of unread form, and a few of another clinic.
RECORDS, RECORDS_ELSEWHERE = 90, 5
PATIENCE = 60.0  # seconds, only ever spent where something hangs
BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SETTINGS = f"""
data_kind = "sample"
[clinics.{CLINIC}]
zone = "Europe/Berlin"
phone = "+49 30 1234567"
[clinics.{OTHER_CLINIC}]
zone = "Asia/Tokyo"
"""


@dataclass(frozen=True)
class Served:
    """A home and the address of the server on it."""

    home: Home
    address: str


def publish_sample(commands: Commands, folder: Path) -> Home:
    """A home with the first records of the bundled sample clinic, and some of another one, taken in and published."""
    home = Home(folder / "home")
    home.ensure()
    (home.root / "settings.toml").write_text(SETTINGS)
    with (PACKAGE / "bundled" / "sample-clinic.csv").open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    here, elsewhere = rows[:RECORDS], rows[RECORDS : RECORDS + RECORDS_ELSEWHERE]
    place = header.index("clinic_id")
    for clinic, some in ((CLINIC, here), (OTHER_CLINIC, elsewhere)):
        for row in some:
            row[place : place + 1] = [clinic]
        with (folder / f"{clinic}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([header, *some])
    nameless = folder / "nameless.csv"
    nameless.write_text("record_id,clinic_id,submitted_at,systemic__fever\nn-1,,2026-11-01T08:00:00Z,1\n")
    files = [folder / f"{clinic}.csv" for clinic in (CLINIC, OTHER_CLINIC)]
    done = commands("run", *files, nameless, "--data-kind", "sample", home=home.root, with_dagster=False)
    assert done.code in (0, 3), done.err
    return home


@contextmanager
def serving(home: Home, *options: str, **environment: str) -> Iterator[Served]:
    """``hiptriage serve`` on a free port of this machine until the end of the block; ``options`` go to the command."""
    log = home.root / "serve.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--port", "0", *options],
            env=os.environ | {"HIPTRIAGE_HOME": str(home.root)} | environment,
            stdout=stream,
            stderr=stream,
        )
    try:
        yield Served(home, _address(process, log))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """What the server says once it listens."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if said := re.search(r"the page is at (\S+)\n", log.read_text()):
            return said[1].rstrip("/")
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError("the server does not say where it listens")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser; skips where this machine has none, except in CI."""
    program = shutil.which("chromium")
    if program is None and "CI" not in os.environ:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=BROWSER)
        yield browser
        browser.close()


def serious(page: Any) -> list[str]:
    """What the axe scan of the open page found that is serious or critical: rule, places, what is wrong."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']} {len(one['nodes'])} places, first {one['nodes'][0]['target']}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def client(home: Home, **options: Any) -> TestClient:
    """The page in process, without a server: the application over ``home`` and a client that follows no redirect."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # starlette would rather have httpx's successor
        from starlette.testclient import TestClient

    from pipelines.page.app import create_app

    options = {"base_url": "http://127.0.0.1:8000", "follow_redirects": False} | options
    return TestClient(create_app(home), **options)
