"""Whether the current snapshot holds everything that the warehouse holds.

Belongs here: that question, answered by numbers of the audit and never by a clock. A run that was killed after
loading or scoring leaves a change that no snapshot holds, and the clock may have gone back since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from warehouse import audit, scores
from warehouse.answers_writing import not_at_hand
from warehouse.home import Home
from warehouse.scores import Versions
from warehouse.snapshot_files import damaged
from warehouse.snapshot_reading import SnapshotMissing, current_snapshot
from warehouse.snapshot_retention import held_up_to
from warehouse.store import opened


def holds_last_change(home: Home, versions: Versions) -> bool:
    """Whether the current snapshot was made by these versions and after the last change of the warehouse.

    True where there is neither. False as long as a refused record waits that the rules in force have not looked at.
    What waits to be loaded or scored is another question
    (``warehouse.scores.outstanding``), and so is a change of model. Raises WarehouseBusy, WarehouseRefused,
    SettingsRefused.
    """
    try:
        manifest: Mapping[str, Any] | None = current_snapshot(home).manifest
    except SnapshotMissing:
        manifest = None
    with opened(home, "look at what is published") as connection:
        if audit.news_since(connection, held_up_to(manifest)):
            return False
        # Scores enter nothing in the audit: they follow from what does, and may be made after a publication.
        scored = scores.count(connection, versions)
        looked_at = scores.looked_at(connection, versions.rules_version)
    if looked_at is None:
        return False  # a form that could not be read may hold an emergency answer, and no table says so
    if manifest is None:
        return scored == 0
    by_these = all(manifest["versions"].get(name) == version for name, version in asdict(versions).items())
    return by_these and manifest.get("scores") == scored and manifest.get("looked_at") == looked_at


def holds_everything(home: Home, versions: Versions) -> bool:
    """Whether there is a current snapshot that holds the last change, is not stale, and has every byte it was made of.

    The copy of stated answers that lies beside it has to be whole too. Raises as ``holds_last_change``.
    """
    try:
        snapshot = current_snapshot(home)
    except SnapshotMissing:
        return False
    if snapshot.stale or not holds_last_change(home, versions):
        return False
    return not damaged(snapshot.path, snapshot.manifest) and not not_at_hand(home, snapshot)
