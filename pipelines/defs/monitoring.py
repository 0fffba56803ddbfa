"""Stage 7: plots for the analyst, and the jobs and schedules that keep plots and checks up to date."""

import dagster as dg

from models.monitoring.arrivals import by_week
from pipelines.defs.checks import look_after
from pipelines.failures import without_patient_values
from pipelines.runs.automation_settings import cron
from pipelines.showing.monitoring import calibration_in_force, looking
from warehouse.home import Home
from warehouse.snapshot_changes import snapshot_changes


@dg.asset(
    group_name="7_monitoring",
    kinds={"duckdb", "matplotlib"},
    owners=["team:clinic-analysts"],
    deps=["intake_valid", "intake_quarantine", "referral_score", "snapshot"],
    description="Plots of the last months, each with the same in a table: arrivals, tiers over time, quarantine codes "
    "by clinic, drift of answers and tiers, calibration on outcomes as they return, and what changed since the last "
    "snapshot. Open the markdown of the last materialisation. Counts of 7 or fewer are hidden.",
)
def monitoring_plots() -> dg.MaterializeResult:
    """One look at the warehouse and the snapshots, drawn."""
    with without_patient_values("monitoring"):
        from pipelines.showing import plots  # matplotlib takes a while to import

        home = Home.from_environment()
        with looking(home) as look:
            days = {clinic: {a.day: a.forms for a in found} for clinic, found in look.arrivals.items()}
            plotted = {
                "arrivals": plots.arrivals({clinic: by_week(forms) for clinic, forms in days.items()}),
                "tiers over time": plots.tiers_over_time(look.tiers_by_week()),
                "quarantine codes": plots.refusals(look.refusals()),
                "drift": plots.drift(look.answer_drift, look.tier_drift()),
            }
            outcomes = calibration_in_force(home, look)
        plotted["calibration"] = plots.reliability(
            outcomes.bins, "Reliability on confirmed outcomes", f"{outcomes.finding.sentence}."
        )
        changed = snapshot_changes(home)
        plotted["changes"] = plots.changes(changed.tiers if changed else {})
    return dg.MaterializeResult(metadata={name: dg.MetadataValue.md(text) for name, text in plotted.items()})


drawn = dg.define_asset_job(
    "monitoring",
    selection=dg.AssetSelection.assets("monitoring_plots").without_checks() | dg.AssetSelection.checks(look_after),
    description="Draw monitoring_plots anew, and run every check on how the service does over time.",
)

monitoring_by_the_clock = dg.ScheduleDefinition(
    name="monitoring_by_the_clock",
    job=drawn,
    cron_schedule=cron("monitoring_cron"),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The plots are drawn anew once a day, before the clinics open.",
)
