"""Fixtures that every test may use: a home of its own, and small intake files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.forked import Commands
from tests.page_server import PATIENCE, Served, chromium, publish_sample, serving
from warehouse.home import Home

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Files that a test drops into a landing folder are whole; tests of half-copied ones wait by themselves.
os.environ.setdefault("HIPTRIAGE_LANDING_SETTLE_SECONDS", "0")

# A worker takes one file after the other: those that take longest come first, so that none is left alone with one.
LONGEST_FIRST = (
    "test_soak.py", "test_random_kills.py", "test_services.py", "test_snapshots.py", "test_withdrawal.py",
    "test_promotion.py", "test_jobs.py", "test_run.py", "test_killed.py", "test_referral.py", "test_model.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of files, for ``--dist loadfile --no-loadscope-reorder``; within a file it stays as written."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> int:
        if item.path.name in LONGEST_FIRST:
            return LONGEST_FIRST.index(item.path.name)
        return len(LONGEST_FIRST) + (item.path not in slow)

    items.sort(key=place)


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """Runs real commands in forks of one process: one for all tests, because its imports take seconds."""
    with Commands() as forked:
        yield forked


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty installation that the environment points to."""
    root = tmp_path / "home"
    monkeypatch.setenv("HIPTRIAGE_HOME", str(root))
    home = Home(root)
    home.ensure()
    return home


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a CSV file of the given text and gives its path."""

    def write(text: str | bytes, name: str = "intake.csv") -> Path:
        file = tmp_path / name
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    return write


@pytest.fixture(scope="session")
def sample_home(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A published home of sample records (``tests.page_server``): to be read or copied, never changed."""
    return publish_sample(commands, tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def served(sample_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The clinicians' page on a copy of ``sample_home``, by a real server; the copy may be changed."""
    home = Home(tmp_path_factory.mktemp("served") / "home")
    shutil.copytree(sample_home.root, home.root, symlinks=True)
    with serving(home) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium for the tests of one file."""
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty tab without cookies, as wide as a desktop; what a script or the console complains of fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE * 1000)
    complaints: list[str] = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    yield tab
    context.close()
    assert not complaints
