"""What follows a change within the same run: score what lacks a score, publish, and show it on the assets' pages.

Belongs here: the step that the change jobs share. Does not belong here: the stages (``pipelines.stages``), the changes
(``pipelines.defs.jobs``).
"""

from collections.abc import Iterator

import dagster as dg

from pipelines.failures import without_patient_values
from pipelines.model_in_force import basis_in_force, settle
from pipelines.runs.held_warehouse import NEEDS_IT, take
from pipelines.showing import gate_told, stage_metadata
from pipelines.stages import look_at_refused, publish_snapshot, score
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.publish_gate import Override, PublicationHeld

CHANGE_STANDS = "publication (the change stands, and the next run publishes it)"


Shown = dg.AssetMaterialization | dg.AssetCheckEvaluation


@dg.op(required_resource_keys=NEEDS_IT, ins={"change": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def publish_change(context: dg.OpExecutionContext) -> Iterator[Shown | dg.Output[None]]:
    """Score every record that lacks a score by the versions in force now, and publish a snapshot."""
    with without_patient_values(CHANGE_STANDS):
        home = Home.from_environment()
        take(context, holding(home, "publish a change"))
        yield from score_and_publish(context, home)
    yield dg.Output(None)


def score_and_publish(context: dg.OpExecutionContext, home: Home, override: Override | None = None) -> Iterator[Shown]:
    """Go through the stages after intake, and give what their assets would show.

    ``override``: who lets lowered tiers pass, and why. Raises what the stages raise, and dagster.Failure where the
    publish gate holds a tier.
    """
    settle(home)
    done = [made("model_in_force", stage_metadata.model(basis_in_force(home)))]
    done.append(made("unread_forms", stage_metadata.forms_looked_at(look_at_refused(home, context.log.info))))
    done.append(made("referral_score", stage_metadata.scores(score(home, context.log.info))))
    try:
        published = publish_snapshot(home, context.log.info, override)
    except PublicationHeld as held:
        yield from (*done, gate_told.evaluation(held.findings))
        raise
    # All at once: declarative automation would follow a model that is said to be up to date before the scores are.
    yield from (*done, made("snapshot", stage_metadata.snapshot(published)))
    yield gate_told.evaluation(published.gate)
    # The table is published, with the earlier tiers; the run fails so that nobody can overlook it.
    gate_told.fail_where_held(published.gate)


def made(asset: str, metadata: stage_metadata.Metadata) -> dg.AssetMaterialization:
    """What puts on the page of ``asset`` what this run did to it."""
    return dg.AssetMaterialization(asset, metadata=metadata)
