"""Dagster's runs that are older than the settings keep: removed with their events and their captured output.

Belongs here: which runs, and what of them stays. Does not belong here: how long (``warehouse.settings``), everything
that is no run (``warehouse.retention``); the ticks of sensors and schedules go by ``dagster.yaml``.

What Dagster 1.13 does with SQLite: every run has a database file of its own for its events; those about assets and
checks are mirrored in an index, from which the asset pages draw the state of every batch. ``delete_run`` empties both
and leaves the empty file. A batch whose only load is deleted that way shows as missing, though its records are there.
So a run that holds the newest materialisation of an asset or of one of its batches loses its file, its captured output
and its entry among the runs, and keeps its lines in the index; its batches stay green and link to a run that is not
there any more. Of every other run nothing stays. The result of a check is kept in a table of its own.

Each step may be done again, and the run's own entry goes last, so that a purge that is killed finds it once more.
"""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage

AT_MOST = 2_000  # runs a purge; a backlog goes in several
_IS_NEWEST = """
SELECT count(*) FROM event_logs made
WHERE run_id = ? AND dagster_event_type = 'ASSET_MATERIALIZATION' AND NOT EXISTS (
    SELECT 1 FROM event_logs later
    WHERE later.asset_key = made.asset_key AND later.dagster_event_type = made.dagster_event_type
      AND later.partition IS made.partition AND later.id > made.id
)
"""


def old_runs(instance: dg.DagsterInstance, days: int | None, now: datetime | None = None) -> list[str]:
    """Ids of runs that ended and were last touched more than ``days`` ago, oldest first, ``AT_MOST``.

    None where ``days`` is None, or where the instance keeps its events elsewhere than ``dagster.yaml`` says.
    """
    if days is None or not isinstance(instance.event_log_storage, SqliteEventLogStorage):
        return []
    before = (now or datetime.now(UTC)) - timedelta(days=days)
    ended = dg.RunsFilter(statuses=list(FINISHED_STATUSES), updated_before=before)
    return [run.run_id for run in instance.get_runs(ended, limit=AT_MOST, ascending=True)]


def remove(instance: dg.DagsterInstance, run_ids: list[str]) -> None:
    """Remove runs that ``old_runs`` gave, as the head of this file says."""
    events = instance.event_log_storage
    if not isinstance(events, SqliteEventLogStorage):
        return
    for run_id in run_ids:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        if not _is_newest_of_an_asset(events, run_id):
            events.delete_events(run_id)
        for part in ("", "-wal", "-shm"):
            Path(f"{events.path_for_shard(run_id)}{part}").unlink(missing_ok=True)
        instance.run_storage.delete_run(run_id)


def _is_newest_of_an_asset(events: SqliteEventLogStorage, run_id: str) -> bool:
    with closing(sqlite3.connect(f"file:{events.path_for_shard(INDEX_SHARD_NAME)}?mode=ro", uri=True)) as index:
        return index.execute(_IS_NEWEST, [run_id]).fetchone() != (0,)
