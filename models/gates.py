"""What a new model has to show before it may be put in force: gates with written limits.

Belongs here: the limits (``knowledge/promotion_gates.yaml``) and the comparison of two models' results, as functions
that depend on nothing else. Does not belong here: how the results come about (``models.gate_evidence``), what is done
with a verdict (``pipelines.changes.promotion``).

Passing them is not proof of safety: they compare two models on generated records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from models.knowledge_files import KNOWLEDGE, read_yaml
from schemas.tiers import tiers

PASSED, FAILED, TOO_FEW = "passed", "failed", "too few to say"
Group = tuple[str, str]
Count = Annotated[int, Field(ge=0)]
Nats = Annotated[float, Field(gt=0, lt=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Drawn(_Strict):
    """How many generated records, and the seed that draws the same ones every time."""

    records: Annotated[int, Field(ge=100, le=100_000)]
    seed: Count


class Slope(_Strict):
    """The calibration slopes that pass, ends included; 1 is right."""

    least: Annotated[float, Field(gt=0, le=1)]
    most: Annotated[float, Field(ge=1)]


class Subgroups(_Strict):
    """How many records of a group it takes to judge it, the margin, and the ages (years) at which bands begin."""

    least_records: Annotated[int, Field(ge=1)]
    log_loss_worse_by_at_most: Nats
    age_from: tuple[Annotated[int, Field(ge=1, le=120)], ...]


class Taught(_Strict):
    """From how many confirmed outcomes on a model may differ more from the literature's records, and how much."""

    least_outcomes: Annotated[int, Field(ge=1)]
    log_loss_worse_by_at_most: Nats
    subgroup_worse_by_at_most: Nats


class NewlyMissed(_Strict):
    """How many records of dangerous conditions may be newly missed; ``promotion_gates.yaml`` says what each means."""

    unseen: Count
    emergencies: Count
    others: Count


class Sentinels(Drawn):
    """The generated records of dangerous conditions, and how many of them may be newly missed."""

    newly_missed_at_most: NewlyMissed


class GateLimits(_Strict):
    """The checked content of ``promotion_gates.yaml``; the file explains each figure."""

    signed_by: str | None
    signed_on: str | None
    provenance: Literal["judgement"]
    comparison: Drawn
    log_loss_worse_by_at_most: Nats
    calibration_slope: Slope
    subgroups: Subgroups
    taught: Taught
    sentinels: Sentinels


@cache
def gate_limits() -> GateLimits:
    """The limits, with shape and ranges checked."""
    return GateLimits.model_validate(read_yaml(KNOWLEDGE / "promotion_gates.yaml"))


@dataclass(frozen=True, slots=True)
class Judgement:
    """How well one model did on labelled records.

    ``log_loss`` in nats over ``records``; ``subgroups`` gives (records, log loss) for each (group, value), such as
    ("sex", "female"). ``calibration_slope`` over ``slope_records``, None where a model does not state its own.
    ``outcomes``: how many confirmed outcomes moved its weights.
    """

    records: int
    log_loss: float
    subgroups: Mapping[Group, tuple[int, float]]
    calibration_slope: float | None
    slope_records: int
    outcomes: int = 0


@dataclass(frozen=True, slots=True)
class Gate:
    """One verdict: ``state`` is passed, failed or "too few to say"; ``found`` and ``limit`` are plain clauses."""

    name: str
    state: str
    found: str
    limit: str

    @property
    def lets_pass(self) -> bool:
        """Whether a promotion may go on; a gate that has too few records to say does not stop it."""
        return self.state != FAILED


def _margins(candidate: Judgement, in_force: Judgement | None, limits: GateLimits) -> tuple[float, float]:
    """How much worse the new model may be, in all and in a subgroup.

    The records of the comparison are the literature's. A model that more outcomes have taught than the one in force is
    meant to depart from them, within a bound of its own.
    """
    more = candidate.outcomes > (in_force.outcomes if in_force else 0)
    if more and candidate.outcomes >= limits.taught.least_outcomes:
        return limits.taught.log_loss_worse_by_at_most, limits.taught.subgroup_worse_by_at_most
    return limits.log_loss_worse_by_at_most, limits.subgroups.log_loss_worse_by_at_most


def log_loss_gate(in_force: Judgement | None, candidate: Judgement, limits: GateLimits) -> Gate:
    """The new model's log loss is not higher than the other's by more than the margin, on the same records.

    ``in_force`` is None where no usable model is to be replaced: there is then nothing to compare with.
    """
    margin, _ = _margins(candidate, in_force, limits)
    limit = f"at most {margin:g} worse"
    if in_force is None:
        return Gate("log loss", TOO_FEW, f"{candidate.log_loss:.4f}; no usable model to compare with", limit)
    worse = candidate.log_loss - in_force.log_loss
    found = f"{candidate.log_loss:.4f} against {in_force.log_loss:.4f} ({worse:+.4f}, n {candidate.records:,})"
    return Gate("log loss", PASSED if worse <= margin else FAILED, found, limit)


def calibration_gate(candidate: Judgement, limits: GateLimits) -> Gate:
    """The new model's calibration slope lies within the bar; a model that does not state its own fails."""
    bar = limits.calibration_slope
    limit = f"{bar.least:g} to {bar.most:g}"
    slope = candidate.calibration_slope
    if slope is None:
        return Gate("calibration slope", FAILED, "not stated by the model", limit)
    inside = bar.least <= slope <= bar.most
    found = f"{slope:.3f} (n {candidate.slope_records:,})"
    return Gate("calibration slope", PASSED if inside else FAILED, found, limit)


def subgroup_gates(in_force: Judgement | None, candidate: Judgement, limits: GateLimits) -> list[Gate]:
    """One verdict a group of sex, age band and form kind: its log loss is not higher by more than the margin."""
    return [_subgroup_gate(group, in_force, candidate, limits) for group in sorted(candidate.subgroups)]


def _subgroup_gate(group: Group, in_force: Judgement | None, candidate: Judgement, limits: GateLimits) -> Gate:
    (_, margin), least = _margins(candidate, in_force, limits), limits.subgroups.least_records
    name, limit = f"log loss, {group[0]} {group[1]}", f"at most {margin:g} worse"
    records, loss = candidate.subgroups[group]
    if in_force is None or group not in in_force.subgroups:
        return Gate(name, TOO_FEW, f"{loss:.4f}; no usable model to compare with", limit)
    if records < least:
        return Gate(name, TOO_FEW, f"n {records:,}, fewer than {least:,}", limit)
    before = in_force.subgroups[group][1]
    worse = loss - before
    # written so that a figure that is not a number fails
    found = f"{loss:.4f} against {before:.4f} ({worse:+.4f}, n {records:,})"
    return Gate(name, PASSED if worse <= margin else FAILED, found, limit)


def newly_missed(in_force: pl.DataFrame, candidate: pl.DataFrame) -> pl.DataFrame:
    """Records of dangerous conditions at urgent or faster by one product and slower by the other.

    Both frames: record_id, condition, own_tier (that of the condition), tier, needs_review; the same records. Gives
    record_id, condition, before, after (tiers), and ``kind``: unseen (not handed to a person either), emergencies or
    others.
    """
    fast = [tier.id for tier in tiers().values() if tier.rank <= tiers()["urgent"].rank]
    both = in_force.select("record_id", "condition", "own_tier", pl.col("tier").alias("before")).join(
        candidate.select("record_id", pl.col("tier").alias("after"), "needs_review"), on="record_id", validate="1:1"
    )
    missed = both.filter(pl.col("before").is_in(fast) & ~pl.col("after").is_in(fast))
    kind = (
        pl.when(~pl.col("needs_review"))
        .then(pl.lit("unseen"))
        .when(pl.col("own_tier").is_in(["emergency", "same_day"]))
        .then(pl.lit("emergencies"))
        .otherwise(pl.lit("others"))
    )
    return missed.select("record_id", "condition", "before", "after", kind.alias("kind")).sort("kind", "record_id")


def danger_gates(in_force: pl.DataFrame, candidate: pl.DataFrame, limits: GateLimits) -> list[Gate]:
    """No dangerous case newly missed beyond the written counts; frames as for ``newly_missed``."""
    missed = newly_missed(in_force, candidate)["kind"].value_counts()
    counts = dict(missed.iter_rows())
    gates = []
    for kind, most in limits.sentinels.newly_missed_at_most:
        found = counts.get(kind, 0)
        said = f"{found} newly slower than urgent, of {in_force.height:,} dangerous records"
        state = FAILED if found > most else PASSED
        gates.append(Gate(f"newly missed, {kind}", state, said, f"at most {most}"))
    return gates


def all_gates(
    in_force: Judgement | None,
    candidate: Judgement,
    sentinels_in_force: pl.DataFrame,
    sentinels_candidate: pl.DataFrame,
    limits: GateLimits,
) -> tuple[Gate, ...]:
    """Every gate, in the order in which they are shown; arguments as for each gate."""
    return (
        log_loss_gate(in_force, candidate, limits),
        calibration_gate(candidate, limits),
        *danger_gates(sentinels_in_force, sentinels_candidate, limits),
        *subgroup_gates(in_force, candidate, limits),
    )
