"""Jobs that change which model is in force: promote, roll_back, suspend, resume.

Belongs here: launch forms and steps in order. Does not belong here: what a change does and who has to agree
(``pipelines.changes.promotion``), what a promotion would do (``pipelines.changes.proposal``).
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from pipelines.changes import promotion
from pipelines.changes.launch_form import NOT_CONFIRMED, By, Confirm, LaunchForm, Second, Why
from pipelines.changes.promotion_preview import preview
from pipelines.changes.proposal import propose
from pipelines.changes.publishing_change import made, publish_change
from pipelines.failures import without_patient_values
from pipelines.model_in_force import basis_in_force
from pipelines.runs.following import FIRST
from pipelines.runs.held_warehouse import HELD, NEEDS_IT, take
from pipelines.showing import stage_metadata
from warehouse.home import Home

CHANGED = {"changed": dg.Out(dg.Nothing, is_required=False, description="Something changed and has to be published.")}


class Promotion(LaunchForm):
    """Which version, who agrees, and whether to do it."""

    version: str = Field(
        pattern="^[0-9A-Za-z]{1,64}$", description="The version to put in force, as hiptriage model list shows it."
    )
    by: By
    second: Second
    reason: Why
    confirm: Confirm = False


class ChangeOfModel(LaunchForm):
    """Who changes the model in force, and why."""

    by: By
    reason: Why


@dg.op(required_resource_keys=NEEDS_IT, out={"preview": dg.Out(dg.Nothing, is_required=False)} | CHANGED)
def promote_op(context: dg.OpExecutionContext, config: Promotion) -> Iterator[dg.Output[None]]:
    """Show which open referrals would change tier and what the gates say; with confirm, put the version in force."""
    with without_patient_values("promote"):
        home = Home.from_environment()
        agreed = promotion.agree(by=config.by, second=config.second, reason=config.reason)
        take(context, promotion.changing(home, "promote"))
        if promotion.unfinished(home, config.version):
            context.log.info("this promotion was entered before and not published: going on with it")
            yield dg.Output(None, "changed")
            return
        proposal = propose(home, config.version)
        if proposal is None:
            context.log.info(f"model {config.version} is in force already; nothing changed")
            return
        yield dg.Output(None, "preview", metadata=preview(proposal))
        if not config.confirm:
            context.log.info(NOT_CONFIRMED)
            return
        promotion.promote(home, proposal, agreed)
        context.log.info(f"model {config.version} is in force")
        yield dg.Output(None, "changed")


@dg.op(required_resource_keys=NEEDS_IT, out=CHANGED)
def roll_back_op(
    context: dg.OpExecutionContext, config: ChangeOfModel
) -> Iterator[dg.AssetMaterialization | dg.Output[None]]:
    """Go back to the model before the last promotion, and to the table published then where that still holds."""
    with without_patient_values("roll back"):
        home = Home.from_environment()
        agreed = promotion.agree(by=config.by, reason=config.reason)
        take(context, promotion.changing(home, "rollback"))
        done = promotion.rollback(home, agreed)
        context.log.info(f"model {done.now} is in force again")
        if done.snapshot_id is None:
            context.log.info(f"{done.scored_anew_because}: scoring and publishing with this model instead")
            yield dg.Output(None, "changed")
            return
        context.log.info(f"snapshot {done.snapshot_id}, published before that promotion, is current again")
        yield made("model_in_force", stage_metadata.model(basis_in_force(home)))
        yield made("snapshot", {"snapshot": done.snapshot_id, "current again": "published before that promotion"})


@dg.op(required_resource_keys=NEEDS_IT, out=dg.Out(dg.Nothing))
def suspend_op(context: dg.OpExecutionContext, config: ChangeOfModel) -> None:
    """Take the model out of force: rules alone decide, under a banner."""
    with without_patient_values("suspend"):
        home = Home.from_environment()
        agreed = promotion.agree(by=config.by, reason=config.reason)
        take(context, promotion.changing(home, "suspend"))
        now = promotion.suspend(home, agreed)
        context.log.info(f"model {now.version} is suspended: rules alone decide until the job resume")


@dg.op(required_resource_keys=NEEDS_IT, out=dg.Out(dg.Nothing))
def resume_op(context: dg.OpExecutionContext, config: ChangeOfModel) -> None:
    """Put the suspended model in force again."""
    with without_patient_values("resume"):
        home = Home.from_environment()
        agreed = promotion.agree(by=config.by, reason=config.reason)
        take(context, promotion.changing(home, "resume"))
        now = promotion.resume(home, agreed)
        context.log.info(f"model {now.version} is in force again")


@dg.job(
    resource_defs=HELD,
    tags=FIRST,
    description="Put a model version in force and publish the table anew. Without confirm it shows how many open "
    "referrals would change tier and what the gates say. Two people have to agree.",
)
def promote() -> None:
    """The preview and the change, then the publication."""
    publish_change(promote_op.alias("promote")()[1])


@dg.job(
    resource_defs=HELD,
    tags=FIRST,
    description="Go back to the model before the last promotion, and to the table published then where no form came "
    "in since.",
)
def roll_back() -> None:
    """The change, then the publication where the table of then does not hold any more."""
    publish_change(roll_back_op.alias("roll_back")())


@dg.job(
    resource_defs=HELD,
    tags=FIRST,
    description="Take the model out of force at once: rules alone decide, under a banner, until the job resume.",
)
def suspend() -> None:
    """The change, then the publication."""
    publish_change(suspend_op.alias("suspend")())


@dg.job(resource_defs=HELD, tags=FIRST, description="Put the suspended model in force again.")
def resume() -> None:
    """The change, then the publication."""
    publish_change(resume_op.alias("resume")())
