"""Which published snapshots are kept: the newest ones, and the young ones.

Belongs here: their order and their age, right also where the clock went back. A snapshot's id begins with the time of
the clock; its manifest says how far the audit had come, which only grows, and that is what the order follows.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from warehouse.home import Home
from warehouse.snapshot_reading import SnapshotMissing, read_manifest

HALF = ".half-"  # a folder or file that is being made or being removed


def in_order(home: Home) -> list[tuple[Path, dict[str, Any] | None]]:
    """Every snapshot folder with its manifest (None where that cannot be read), oldest publication first.

    Those from before there was an audit come first, in the order of their ids.
    """
    found = [
        (entry, _manifest(entry))
        for entry in home.snapshots.iterdir()
        if entry.is_dir() and not entry.name.startswith(HALF)
    ]
    return sorted(found, key=lambda item: (held_up_to(item[1]), item[0].name))


def held_up_to(manifest: Mapping[str, Any] | None) -> int:
    """Number of the audit entry up to which a snapshot holds everything; -1 where its manifest names none."""
    return int(manifest["audit"]["entries"]) if manifest and "audit" in manifest else -1


def to_retire(home: Home, current: str, now: datetime) -> list[Path]:
    """Folders of snapshots that are neither among the newest nor young enough, never the current one, newest first.

    A snapshot is not younger than one that was published after it: a time that a later one contradicts came from a
    clock that was ahead.
    """
    settings = home.settings()
    oldest_kept = now - timedelta(days=settings.snapshot_days)
    earliest = now
    found = []
    for place, (folder, manifest) in enumerate(reversed(in_order(home))):
        if manifest:
            earliest = min(earliest, datetime.fromisoformat(manifest["published_at"]))
        if place >= settings.snapshots_kept and folder.name != current and earliest < oldest_kept:
            found.append(folder)
    return found


def retire(home: Home, current: str, now: datetime) -> None:
    """Remove the snapshots that ``to_retire`` gives.

    A folder is renamed first, so that a kill in the middle leaves something the next sweep removes.
    """
    for folder in to_retire(home, current, now):
        removed = home.snapshots / f"{HALF}{folder.name}"
        folder.rename(removed)
        shutil.rmtree(removed)


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        return read_manifest(folder)
    except SnapshotMissing:
        return None
