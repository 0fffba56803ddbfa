"""Files come in: a sensor that watches the landing folder, and a schedule that looks at all of it again."""

from hashlib import sha256

import dagster as dg

from pipelines.failures import without_patient_values
from pipelines.runs.automation_settings import automation_settings, cron
from pipelines.runs.following import FIRST
from warehouse.home import Home
from warehouse.landing_watch import look


@dg.sensor(
    job_name="landing",
    minimum_interval_seconds=automation_settings().landing_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the job landing when files have come to rest in the landing folder: their size and time are "
    "the same on two looks. Keyed by content, so a file that is dropped again starts nothing.",
)
def landing_folder(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Look once; the cursor holds digests, never the name of a file."""
    with without_patient_values("landing folder"):
        seen = look(Home.from_environment(), context.cursor or "")
    if seen.settled:
        run_key = sha256("".join(seen.settled).encode()).hexdigest()
        return dg.SensorResult([dg.RunRequest(run_key, tags=FIRST)], cursor=seen.memory)
    reason = "nothing new in the landing folder"
    if seen.moving:
        reason = f"{seen.moving} files are new, still being written or cannot be read: they are looked at again"
    return dg.SensorResult(skip_reason=reason, cursor=seen.memory)


reconcile = dg.ScheduleDefinition(
    name="reconcile",
    job_name="landing",
    cron_schedule=cron("reconcile_cron"),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    tags=FIRST,
    description="Looks at every file of the landing folder again and compares it with what is registered, so that "
    "nothing waits unseen when the sensor was off or a run of landing failed.",
)
