"""Job withdraw: take a record back, hidden or erased.

Belongs here: launch form and steps in order. Does not belong here: the steps themselves
(``pipelines.changes.withdrawal``). The form names a request file and no record: what stands in a form outlives an
erasure in Dagster's run storage.
"""

from collections.abc import Iterator
from typing import Literal

import dagster as dg
from pydantic import Field

from pipelines.changes import withdrawal, withdrawal_request
from pipelines.changes.launch_form import NOT_CONFIRMED, By, Confirm, LaunchForm
from pipelines.changes.publishing_change import Shown, publish_change, score_and_publish
from pipelines.failures import without_patient_values
from pipelines.runs.following import FIRST
from pipelines.runs.held_warehouse import HELD, NEEDS_IT, take
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.withdrawing import erasure
from warehouse.withdrawing.terms import Reason


class Withdrawal(LaunchForm):
    """Which request, how, who and why; nothing here says whose record it is."""

    request: str = Field(
        pattern="^[a-z0-9-]{1,40}$",
        description="Name of the request file: withdrawals/<request>.csv in the home, readable by you alone, with one "
        "row under clinic_id, record_id, patient_key, refused. Never put a record id or a patient key into this form: "
        "Dagster keeps what stands in it.",
    )
    how: Literal["as_decided", "restrict", "erase"] = Field(
        default="as_decided",
        description="restrict: kept and shown to nobody. erase: gone for good. as_decided: restrict once a clinician "
        "has decided on it, else erase.",
    )
    even_decided: bool = Field(default=False, description="Erase also what a clinician has decided on.")
    lifted: bool = Field(default=False, description="Take an earlier withdrawal back.")
    by: By
    reason: Reason = Field(description="Why, for the audit.")
    confirm: Confirm = False


@dg.op(
    required_resource_keys=NEEDS_IT,
    out={"changed": dg.Out(dg.Nothing, is_required=False)},
)
def withdraw_op(context: dg.OpExecutionContext, config: Withdrawal) -> Iterator[Shown | dg.Output[None]]:
    """Tell in counts what there is of it; with confirm, withdraw it."""
    with without_patient_values("withdraw"):
        home = Home.from_environment()
        named = withdrawal_request.read(home, config.request)
        how = None if config.how == "as_decided" else config.how
        wish = withdrawal.Wish(how, config.even_decided, config.lifted)
        take(context, holding(home, "job withdraw"))
        if erasure.unfinished(home):
            context.log.info("an earlier withdrawal was cut off: going on with it")
            yield from score_and_publish(context, home)
        came = withdrawal.withdraw(
            home,
            named,
            withdrawal.agree(config.by, config.reason),
            wish,
            confirmed=config.confirm,
            say=context.log.info,
        )
        if came == "not confirmed":
            context.log.info(NOT_CONFIRMED)
        elif came == "changed":
            erasure.go_on(home)
            # All the rest goes by numbers: the next publication ends it, also where this run dies.
            withdrawal_request.remove(home, config.request)
            withdrawal.tell_what_is_left(home, context.log.info)
            yield dg.Output(None, "changed")
        elif config.confirm:
            withdrawal_request.remove(home, config.request)


@dg.job(
    resource_defs=HELD,
    tags=FIRST,
    description="Take a record back: hidden, or erased so that nothing of it is left. The form names a request file in "
    "the home's folder withdrawals, never a record. Without confirm it only tells counts.",
)
def withdraw() -> None:
    """The withdrawal, then the publication without it."""
    publish_change(withdraw_op.alias("withdraw")())
