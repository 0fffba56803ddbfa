"""Runs that a dead process left behind as if they were at work: marked as failed when the next run begins.

Belongs here: finding out which process a run is in, and ending runs without one. All processes of a home are on one
machine, as the warehouse lock needs it; a run in the queue has no process yet and is left alone.
"""

import os
import time
from dataclasses import dataclass

import dagster as dg

from pipelines.runs.processes import identity, is_alive, may_be

# A run that no process has reported on is given this long to get one.
START_SECONDS = 300.0
PROCESS = "hiptriage/process"
_SENTENCE = "The process of this run has died. Nothing half-done was kept: what it left waits for the next run."
_AT_WORK = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    reported_at: float


def tag_of_process(run_id: str, said: str) -> dict[str, str]:
    """The tag that says in which process (``pipelines.runs.processes.identity``) a run is.

    It names the run as well: who runs something again in the UI copies the tags of the first run.
    """
    return {PROCESS: f"{said} {run_id}"}


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark every run as failed (or cancelled, where that was asked for) whose process lives no more; gives their ids.

    A run that is seen alive is tagged with its process, so that a later look cannot take another process for it.
    """
    ended = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=_AT_WORK)):
        run = record.dagster_run
        if _lives(instance, run, record.update_timestamp.timestamp()):
            continue
        # What a process said last it said before it was found dead: only now is its status final.
        found = instance.get_run_by_id(run.run_id)
        if found is None or found.status not in _AT_WORK:
            continue
        if found.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(found, _SENTENCE)
        else:
            instance.report_run_failed(found, _SENTENCE)
        ended.append(run.run_id)
    return ended


def _lives(instance: dg.DagsterInstance, run: dg.DagsterRun, updated_at: float) -> bool:
    said, _, of_run = run.tags.get(PROCESS, "").partition(" ")
    if of_run == run.run_id:
        return is_alive(said)
    process = _reported(instance, run.run_id)
    if process is None:
        return 0 <= time.time() - updated_at < START_SECONDS
    home = ("DAGSTER_HOME", os.environ.get("DAGSTER_HOME", ""))
    if process.pid != os.getpid() and not may_be(process.pid, since=process.reported_at, settings=home):
        return False
    if seen := identity(process.pid):
        instance.add_run_tags(run.run_id, tag_of_process(run.run_id, seen))
    return bool(seen)


def _reported(instance: dg.DagsterInstance, run_id: str) -> _Process | None:
    """The first process that reported on the run: that of the run itself, where steps have processes of their own."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event and event.is_engine_event else None
        if pid is not None and str(pid.value).isdecimal():
            return _Process(int(str(pid.value)), entry.timestamp)
    return None
