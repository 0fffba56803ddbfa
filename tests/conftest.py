"""Fixtures that every test may use: a home of its own, and small intake files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from warehouse.home import Home


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
