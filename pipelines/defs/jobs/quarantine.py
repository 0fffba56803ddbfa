"""Jobs about refused records: replay_quarantine and dismiss_refused.

Belongs here: launch forms and steps in order. Does not belong here: what a replay does (``warehouse.replay``).
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from pipelines.changes.launch_form import By, LaunchForm
from pipelines.changes.publishing_change import publish_change
from pipelines.changes.replaying import try_again
from pipelines.failures import without_patient_values
from pipelines.runs.following import FIRST
from pipelines.runs.held_warehouse import HELD, NEEDS_IT, take
from schemas.problems import DismissReason
from warehouse import replay
from warehouse.home import Home
from warehouse.lock import holding

IN_MEMORY = "in_memory"


class WhichBatches(LaunchForm):
    """Which batches to try again."""

    batches: list[str] = Field(
        default=[],
        max_length=10_000,
        description="Ids of batches (partitions of intake_quarantine). Empty: every batch of which a record or the "
        "whole file waits.",
    )


class RefusedForm(LaunchForm):
    """Which refused form or file, who dealt with it, and how."""

    batch: str = Field(
        min_length=1, max_length=200, description="The batch, as hiptriage quarantine list and the partitions show it."
    )
    record_number: int = Field(
        ge=0,
        le=9_999_999_999,
        description="Number of the record in its file, as hiptriage quarantine show gives it; 0 for a file that was "
        "refused whole.",
    )
    by: By
    reason: DismissReason = Field(description="How it was dealt with.")


@dg.op(
    required_resource_keys=NEEDS_IT,
    out={
        "tried": dg.Out(dg.Nothing),
        "not_tried": dg.Out(int, is_required=False, io_manager_key=IN_MEMORY),
    },
)
def replay_op(
    context: dg.OpExecutionContext, config: WhichBatches
) -> Iterator[dg.AssetObservation | dg.Output[None] | dg.Output[int]]:
    """Read the refused records and files of each batch once more from the archive."""
    with without_patient_values("replay"):
        home = Home.from_environment()
        take(context, holding(home, "job replay_quarantine"))
        tried = try_again(home, config.batches, say=context.log.info, warn=context.log.warning)
        for outcome in tried.done:
            counts = {"tried": outcome.tried, "now read": outcome.released, "still refused": outcome.still_refused}
            yield dg.AssetObservation(
                "intake_quarantine",
                partition=outcome.batch_id,
                metadata=counts | ({"refused whole": outcome.refusal} if outcome.refusal else {}),
            )
        if not tried.batches:
            context.log.info("nothing is quarantined")
    yield dg.Output(None, "tried", metadata={"batches tried": len(tried.done), "not tried": tried.not_tried})
    if tried.not_tried:
        yield dg.Output(tried.not_tried, "not_tried")


@dg.op(ins={"published": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def say_what_was_not_tried(not_tried: int) -> None:
    """End as failed where a batch could not be tried; everything else is read and published by then."""
    raise dg.Failure(
        f"{not_tried} batches could not be tried; the reason stands beside each in the step before; the others are "
        "read and published",
        allow_retries=False,
    )


@dg.op(required_resource_keys=NEEDS_IT, out=dg.Out(dg.Nothing))
def dismiss_op(context: dg.OpExecutionContext, config: RefusedForm) -> None:
    """Take one refused form or file off the list of unread ones; the quarantine keeps it."""
    with without_patient_values("dismiss"):
        home = Home.from_environment()
        take(context, holding(home, "job dismiss_refused"))
        replay.dismiss(home, config.batch, config.record_number, by=config.by, reason=config.reason)
        context.log.info(f"what was refused of batch {config.batch} is dealt with: {config.reason}")


@dg.job(
    resource_defs=HELD | {IN_MEMORY: dg.mem_io_manager},
    tags=FIRST,
    description="Try refused records and files again after the contract, a mapping or the program changed. What was "
    "counted on arrival stays as it is. A mended file is not replayed: it is a new file.",
)
def replay_quarantine() -> None:
    """The replay, the publication, and what could not be tried."""
    tried, not_tried = replay_op.alias("replay_quarantine")()
    say_what_was_not_tried(published=publish_change(tried), not_tried=not_tried)


@dg.job(
    resource_defs=HELD,
    tags=FIRST,
    description="Take one refused form or file off the list of unread ones, because a person has dealt with it. "
    "Nothing is deleted.",
)
def dismiss_refused() -> None:
    """The dismissal, then the publication."""
    publish_change(dismiss_op.alias("dismiss_refused")())
