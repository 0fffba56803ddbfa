"""Fixtures that every test may use: a home of its own, and small intake files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.forked import Commands
from warehouse.home import Home

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
