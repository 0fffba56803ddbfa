"""The pointer to the model in force: one line in a file of the home's models folder.

Belongs here: what the line means, and swapping it. The line is a version, or ``suspended`` and the version that waits
to be resumed; without the file the model of this release is in force. Does not belong here: who may move it and when
(``pipelines.changes.promotion``), the history of moves (``warehouse.model_history``).

This module stays light: ``hiptriage model list`` imports it (no polars, no pyarrow).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from warehouse.home import Home

POINTER = "current"
SUSPENDED = "suspended"
HALF = ".half-"  # a folder or file that is being made


@dataclass(frozen=True, slots=True)
class InForce:
    """A model version, and whether it is suspended (rules alone decide, and the version waits to be resumed)."""

    version: str
    suspended: bool = False

    def __str__(self) -> str:
        """The version, with a word where it is suspended."""
        return f"{self.version} (suspended)" if self.suspended else self.version


def pointed_to(home: Home) -> InForce | None:
    """What the pointer says, or None where there is none. What it names need not exist."""
    try:
        line = (home.models / POINTER).read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    first, _, second = line.partition(" ")
    return InForce(second, suspended=True) if first == SUSPENDED else InForce(first)


def point_to(home: Home, now: InForce) -> None:
    """Swap the pointer in one step: whoever reads it sees the old line whole or the new one whole.

    The caller holds the lock.
    """
    half = home.models / f"{HALF}{POINTER}"
    with half.open("w", encoding="utf-8") as file:
        file.write(f"{SUSPENDED} {now.version}\n" if now.suspended else f"{now.version}\n")
        file.flush()
        os.fsync(file.fileno())
    half.replace(home.models / POINTER)
    folder = os.open(home.models, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def keep_own_copy(home: Home, version: str, folder: Path) -> None:
    """Copy the model in ``folder`` into the home, if the home does not have that version: releases carry other ones.

    What a pointer has once named can then be gone back to. The caller holds the lock.
    """
    if (home.models / version).exists():
        return
    half = home.models / f"{HALF}{version}"
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(folder, half)
    half.rename(home.models / version)
