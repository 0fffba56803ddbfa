"""What no snapshot holds yet, in words: what a sensor asks before it has anything scored and published again.

Belongs here: the question. Does not belong here: counting (``warehouse.scores``), the doing (``pipelines.stages``).
"""

from datetime import UTC, datetime, timedelta

from pipelines.model_in_force import versions_in_force
from warehouse import scores
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.published_state import holds_last_change
from warehouse.snapshot_files import damaged
from warehouse.snapshot_reading import SnapshotMissing, current_snapshot

# A quiet clinic's table is published again before it would be marked stale.
OF_STALE_HOURS = 0.75


def unpublished(home: Home) -> str:
    """What waits to be scored or published, in a few words; '' where nothing does. Does not wait for the lock.

    Raises WarehouseBusy, WarehouseRefused, SettingsRefused.
    """
    versions = versions_in_force(home)
    with holding(home, "look for what is not published", wait=0):
        work = scores.outstanding(home, versions)
        if work.unscored:
            return f"{work.unscored} records wait for a score"
        if work.change_waits:
            return "a change of model is not published"
        if not holds_last_change(home, versions):
            return "what was loaded, scored or changed is not published"
        try:
            snapshot = current_snapshot(home)
        except SnapshotMissing:
            return ""  # nothing has come in yet
        if damaged(snapshot.path, snapshot.manifest):
            return "the snapshot is damaged"
    age = abs(datetime.now(UTC) - snapshot.published_at)  # from ahead of the clock, where that went back
    return "the snapshot grows old" if age > OF_STALE_HOURS * timedelta(hours=home.settings().stale_hours) else ""
