"""Jobs of upkeep: purge, and publish_with_override.

Belongs here: launch forms and steps in order. Does not belong here: what a purge removes (``warehouse.retention``,
``pipelines.runs.run_retention``), what an override lets pass (``warehouse.publish_gate``).
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from pipelines.changes.launch_form import NOT_CONFIRMED, By, Confirm, LaunchForm, Why
from pipelines.changes.publishing_change import Shown, score_and_publish
from pipelines.changes.purging import purge_now, what_is_due
from pipelines.failures import without_patient_values
from pipelines.runs.following import FIRST
from pipelines.runs.held_warehouse import HELD, NEEDS_IT, take
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.publish_gate import agreed
from warehouse.withdrawing.terms import LONGEST_NAME


class PurgeForm(LaunchForm):
    """Whether to remove what is older than the settings keep."""

    by: str = Field(
        default="", max_length=LONGEST_NAME, description="Who does this, for the audit. Empty: the account it runs as."
    )
    confirm: Confirm = False


class OverrideForm(LaunchForm):
    """Who lets lowered tiers be published, and why."""

    by: By
    reason: Why


@dg.op(out={"due": dg.Out(dg.Nothing)})
def purge_op(context: dg.OpExecutionContext, config: PurgeForm) -> Iterator[dg.Output[None]]:
    """Tell what is older than the settings keep; with confirm, remove it."""
    with without_patient_values("purge"):
        home = Home.from_environment()
        if config.confirm:
            counts = purge_now(home, context.instance, by=config.by or None)
        else:
            counts = what_is_due(home, context.instance)
            context.log.info(NOT_CONFIRMED)
        told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
        context.log.info(f"{'removed' if config.confirm else 'to be removed'}: {told}")
    yield dg.Output(None, "due", metadata=counts)


@dg.op(required_resource_keys=NEEDS_IT, out=dg.Out(dg.Nothing))
def override_op(context: dg.OpExecutionContext, config: OverrideForm) -> Iterator[Shown | dg.Output[None]]:
    """Score and publish, and let tiers be lowered that the publish gate would hold."""
    with without_patient_values("publication"):
        home = Home.from_environment()
        override = agreed(by=config.by, reason=config.reason)
        take(context, holding(home, "job publish_with_override"))
        yield from score_and_publish(context, home, override)
    yield dg.Output(None)


@dg.job(
    description="Remove what is older than the settings keep: snapshots, archived files of which nothing waits, runs "
    "with their events, the access log. Without confirm it only tells how much."
)
def purge() -> None:
    """One step."""
    purge_op.alias("purge")()


@dg.job(
    resource_defs=HELD,
    tags=FIRST,
    description="Publish although the publish gate holds lowered tiers back: after a person looked at what changed and "
    "found it right. Name and reason go into the audit and into the snapshot.",
)
def publish_with_override() -> None:
    """One step."""
    override_op.alias("publish_with_override")()
