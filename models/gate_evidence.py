"""What the gates of a promotion are judged on: two models on the same generated records.

Belongs here: drawing the records that ``knowledge/promotion_gates.yaml`` names and putting them through a model or
through the whole product. Does not belong here: the verdicts (``models.gates``).

The published cases that are bundled with this program carry no diagnoses, so they cannot tell a case newly missed.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import numpy as np
import polars as pl

from models import differential
from models.basis import Basis
from models.catalogue import Catalogue
from models.cohort import Cohort, generate
from models.gates import GateLimits, Group, Judgement
from models.model_file import LockedModel
from models.outcome_training import moved_by
from models.referral import referral_rows
from schemas.records import record_schema

NOT_STATED = "not stated"


def comparison_records(catalogue: Catalogue, limits: GateLimits) -> Cohort:
    """The labelled records on which both models' log losses are taken: conditions as common as the priors say."""
    return generate(catalogue, limits.comparison.records, limits.comparison.seed)


def sentinel_records(catalogue: Catalogue, limits: GateLimits) -> Cohort:
    """Labelled records of the dangerous conditions, each equally often."""
    dangerous = [condition.id for condition in catalogue.conditions.values() if condition.dangerous]
    labels = np.resize(np.array(dangerous), limits.sentinels.records)
    return generate(catalogue, limits.sentinels.records, limits.sentinels.seed, conditions=labels)


def judged(model: LockedModel, cohort: Cohort, limits: GateLimits) -> Judgement:
    """The model's log loss on the cohort, in all and by subgroup; its calibration slope as its manifest states it."""
    place = {name: number for number, name in enumerate(model.classes)}
    label = np.array([place[name] for name in cohort.condition])
    given = differential.probabilities(model, cohort.records)
    loss = pl.Series("loss", -np.log(given[np.arange(len(label)), label]))
    stated = model.manifest.get("evaluation", {})
    return Judgement(
        records=len(label),
        log_loss=float(loss.to_numpy().mean()),
        subgroups=_by_subgroup(cohort.records, loss, limits),
        calibration_slope=stated.get("model", {}).get("calibration_slope"),
        slope_records=int(stated.get("records", 0)),
        outcomes=moved_by(model.manifest),
    )


def _by_subgroup(records: pl.DataFrame, loss: pl.Series, limits: GateLimits) -> dict[Group, tuple[int, float]]:
    frame = records.select(
        pl.col("sex").fill_null(NOT_STATED),
        _age_bands(records["age_years"], limits.subgroups.age_from).alias("age"),
        pl.col("completed_by").fill_null(NOT_STATED).alias("form by"),
    ).with_columns(loss)
    found: dict[Group, tuple[int, float]] = {}
    for group in ("sex", "age", "form by"):
        for value, n, mean in frame.group_by(group).agg(n=pl.len(), loss=pl.col("loss").mean()).iter_rows():
            found[(group, str(value))] = (int(n), float(mean))
    return found


def _age_bands(age: pl.Series, starts: tuple[int, ...]) -> pl.Series:
    """The band of each age in words; ``starts`` are the ages at which bands begin, rising."""
    names = [f"under {starts[0]}", *(f"{low}-{high - 1}" for low, high in pairwise(starts)), f"{starts[-1]} or older"]
    place = np.searchsorted(np.array(starts), age.fill_null(0).to_numpy(), side="right")
    return pl.select(
        pl.when(age.is_not_null()).then(pl.Series(np.array(names)[place])).otherwise(pl.lit(NOT_STATED))
    ).to_series()


def through_the_product(cohort: Cohort, basis: Basis, *, scored_at: datetime) -> pl.DataFrame:
    """The cohort put through rules and model: record_id, condition, own_tier, tier, needs_review.

    ``own_tier`` is the default tier of the record's true condition. ``scored_at``: UTC.
    """
    records = cohort.records.to_arrow().cast(record_schema())
    rows = referral_rows(records, records, basis, scored_at=scored_at)
    own = {condition.id: condition.tier for condition in basis.catalogue.conditions.values()}
    return pl.DataFrame(pl.from_arrow(rows.select(["record_id", "tier", "needs_review"]))).with_columns(
        pl.Series("condition", cohort.condition), pl.Series("own_tier", [own[name] for name in cohort.condition])
    )
