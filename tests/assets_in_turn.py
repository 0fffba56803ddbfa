"""What a Dagster run of the record's path does, without Dagster around it: a run of its own costs seconds.

Stands in for ``pipelines.materialise.materialise`` in tests that are not about Dagster.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import dagster as dg

from pipelines.defs.publishing import snapshot
from pipelines.defs.scoring import referral_score, unread_forms
from pipelines.model_in_force import settle
from warehouse import intake
from warehouse.home import Home


@cache
def context() -> dg.AssetExecutionContext:
    """What the assets write their lines to. It takes longer to make than some of them to run."""
    return dg.build_asset_context()


def loaded_scored_and_published(_: Path, batch_ids: list[str]) -> None:
    """The same functions and assets, called one after the other."""
    home = Home.from_environment()
    for batch_id in batch_ids:
        intake.load(home, batch_id)
    try:
        unread_forms(context())
        settle(home)  # all that the asset model_in_force does beside its report
        referral_score(context())
        snapshot(context())
    except BaseException:
        context.cache_clear()  # an asset that ends by an error does not let go of it
        raise
