"""Stage 6: what a model or knowledge in shadow makes of the same records, for a comparison that nobody publishes.

It comes after the publication, so that no form waits for it, and nothing comes after it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import dagster as dg
from pydantic import Field

from pipelines.changes import promotion
from pipelines.changes import shadow as running
from pipelines.changes.launch_form import By, LaunchForm, Why
from pipelines.changes.promotion_preview import tier_changes
from pipelines.changes.proposal import ChangeRefused
from pipelines.failures import without_patient_values
from pipelines.runs.following import FOLLOWS
from pipelines.showing.small_counts import told
from warehouse.home import Home

_NOT_PUBLISHED = "nothing of a shadow is published; hiptriage model shadow show lists the records"


@dg.asset(
    group_name="6_shadow",
    kinds={"duckdb", "scikitlearn"},
    owners=["team:clinic-analysts"],
    deps=["snapshot"],
    automation_condition=FOLLOWS,
    description="Scores by the model or knowledge that runs in shadow, beside the published ones and never in a "
    "snapshot: how many referrals would change tier. Does nothing where nothing runs in shadow (job shadow).",
)
def shadow_score(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """One look."""
    with without_patient_values("shadow"):
        home = Home.from_environment()
        scored = running.score_in_shadow(home, context.log.info)
        return dg.MaterializeResult(metadata={"dagster/row_count": scored, **_told(home)})


def _told(home: Home) -> Mapping[str, dg.MetadataValue]:
    try:
        seen = running.look(home)
    except ChangeRefused as none:
        return {"shadow": dg.MetadataValue.text(str(none))}
    return {
        "shadow": dg.MetadataValue.text(f"{seen.run.number}: {seen.run.subject}"),
        "since": dg.MetadataValue.timestamp(seen.run.started_at),
        "not scored yet": dg.MetadataValue.text(told(seen.comparison.unscored)),
        "tier changes": dg.MetadataValue.md(tier_changes(seen.comparison.changes)),
        "which records": dg.MetadataValue.text(_NOT_PUBLISHED),
    }


class Shadow(LaunchForm):
    """Start a model version, changed knowledge, or both in shadow; or stop what runs."""

    what: Literal["start", "stop"] = Field(description="start, or stop what runs")
    version: str = Field(
        default="",
        pattern="^[0-9A-Za-z]{0,64}$",
        description="A model version, as hiptriage model list shows it; blank for the one in force.",
    )
    knowledge: str = Field(
        default="",
        pattern="^[0-9A-Za-z_-]{0,64}$",
        description="Name of a folder in the home's folder shadow, with changed files of rules, catalogue or advice; "
        "blank for those of this release.",
    )
    by: By
    reason: Why


@dg.op
def shadow_op(context: dg.OpExecutionContext, config: Shadow) -> dg.Output[None]:
    """Start, score and compare; or stop."""
    with without_patient_values("shadow"):
        home = Home.from_environment()
        agreed = promotion.agree(by=config.by, reason=config.reason)
        if config.what == "stop":
            run, records = running.stop(home, agreed)
            context.log.info(f"shadow {run.number} ended")
            return dg.Output(None, metadata={"shadow": run.subject, "records scored": told(records)})
        folder: Path | None = home.shadow / config.knowledge if config.knowledge else None
        running.start(home, agreed, version=config.version or None, knowledge=folder)
        running.score_in_shadow(home, context.log.info)
        return dg.Output(None, metadata=_told(home))


@dg.job(
    description="Let a model version or changed knowledge score beside what is in force, and see how many referrals "
    "would change tier; or end that. Changes nothing that anybody reads. A model is then promoted; rules or a "
    "catalogue become a release of the program.",
)
def shadow() -> None:
    """One step."""
    shadow_op.alias("shadow")()
