"""Registered batches are loaded: a sensor that asks the warehouse, not Dagster, which of them wait."""

import json
from hashlib import sha256

import dagster as dg

from pipelines.defs.intake import BATCHES
from pipelines.failures import without_patient_values
from pipelines.runs.automation_settings import automation_settings
from pipelines.runs.batches_under_way import stretches, tags_of, under_way
from pipelines.runs.following import FIRST
from pipelines.runs.trying_again import Attempts
from warehouse.home import Home
from warehouse.lock import WarehouseBusy, holding
from warehouse.sources import pending_batches
from warehouse.unchanged import state_of

# More stretches than this at once come only from batches that failed here and there: the rest waits for the next tick.
RUNS_A_TICK = 4


@dg.sensor(
    job_name="intake",
    minimum_interval_seconds=automation_settings().following_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the job intake over the batches that are registered and not yet loaded, as the warehouse says. "
    "A batch that could not be loaded is tried again after 5, 10, 20, 40 and then every 60 minutes. While another "
    "process holds the warehouse the sensor skips and says which.",
)
def waiting_batches(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Ask once; the cursor holds batch ids with their attempts, and how the warehouse looked when nothing waited."""
    quiet, attempts = _remembered(context.cursor)
    with without_patient_values("waiting batches"):
        home = Home.from_environment()
        state = state_of(home)
        if state == quiet:
            return dg.SensorResult(skip_reason="no batch waits", cursor=context.cursor)
        try:
            with holding(home, "look for new batches", wait=0):
                waiting = pending_batches(home)
        except WarehouseBusy as busy:
            return dg.SensorResult(skip_reason=f"{busy}: looked at again", cursor=context.cursor)
    attempts.keep(waiting)
    if not waiting:
        return dg.SensorResult(skip_reason="no batch waits", cursor=_memory(state, attempts))
    known = list(context.instance.get_dynamic_partitions(str(BATCHES.name)))
    new = [key for key in waiting if key not in set(known)]
    partitions = [*known, *new]
    due = set(attempts.due(waiting)) - under_way(context.instance, partitions)
    runs = stretches(due, partitions)[:RUNS_A_TICK]
    for stretch in runs:
        attempts.asked(stretch)
    return dg.SensorResult(
        [
            dg.RunRequest(
                f"{sha256(' '.join(stretch).encode()).hexdigest()}-{attempts.slot()}", tags=tags_of(stretch) | FIRST
            )
            for stretch in runs
        ],
        skip_reason=None if runs else f"{len(waiting)} batches wait: a run has them, or they are tried again later",
        dynamic_partitions_requests=[BATCHES.build_add_request(new)] if new else [],
        cursor=_memory("", attempts),
    )


def _remembered(cursor: str | None) -> tuple[str, Attempts]:
    try:
        quiet, tried = json.loads(cursor or '["", ""]')
    except (ValueError, TypeError):
        quiet, tried = "", ""
    return str(quiet), Attempts(str(tried))


def _memory(quiet: str, attempts: Attempts) -> str:
    return json.dumps([quiet, attempts.memory()])
