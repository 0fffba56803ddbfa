"""Upkeep: runs that died are told so, and what is older than the settings keep is removed at night."""

import dagster as dg

from pipelines.failures import without_patient_values
from pipelines.runs.automation_settings import automation_settings, cron
from pipelines.runs.dead_runs import end_dead_runs


@dg.sensor(
    minimum_interval_seconds=automation_settings().following_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs as failed whose process has died (a power cut, a killed process), so that they neither "
    "hold a place in the queue nor look as if they were at work. Starts no run.",
)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Look at every run that is said to be at work."""
    with without_patient_values("dead runs"):
        ended = end_dead_runs(context.instance)
    return dg.SkipReason(f"{len(ended)} runs of dead processes were marked" if ended else "no run was left behind")


purge_nightly = dg.ScheduleDefinition(
    name="purge_nightly",
    job_name="purge",
    cron_schedule=cron("purge_cron"),
    run_config={"ops": {"purge": {"config": {"by": "schedule purge_nightly", "confirm": True}}}},
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Removes what is older than the settings keep: snapshots, archived files of which nothing waits, runs "
    "with their events, the access log. What nobody set a time for is kept for ever.",
)
