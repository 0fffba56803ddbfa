"""The gates of a promotion: each limit holds at its edge, and what they are judged on is the same every time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.basis import Basis, load_basis
from models.gate_evidence import comparison_records, judged, sentinel_records, through_the_product
from models.gates import (
    FAILED,
    PASSED,
    TOO_FEW,
    GateLimits,
    Judgement,
    all_gates,
    calibration_gate,
    danger_gates,
    gate_limits,
    log_loss_gate,
    newly_missed,
    subgroup_gates,
)
from models.knowledge_files import KNOWLEDGE
from models.model_file import default_locked_folder
from schemas.tiers import tiers

GIVEN = {
    "signed_by": None,
    "signed_on": None,
    "provenance": "judgement",
    "comparison": {"records": 600, "seed": 1},
    "log_loss_worse_by_at_most": 0.01,
    "calibration_slope": {"least": 0.95, "most": 1.05},
    "subgroups": {"least_records": 100, "log_loss_worse_by_at_most": 0.05, "age_from": [16, 40]},
    "taught": {"least_outcomes": 200, "log_loss_worse_by_at_most": 0.2, "subgroup_worse_by_at_most": 0.3},
    "sentinels": {
        "records": 160,
        "seed": 2,
        "newly_missed_at_most": {"unseen": 0, "emergencies": 1, "others": 2},
    },
}
LIMITS = GateLimits.model_validate(GIVEN)
GOOD = Judgement(
    records=600,
    log_loss=0.8,
    subgroups={("sex", "female"): (300, 0.7), ("sex", "male"): (200, 0.9), ("sex", "other"): (9, 0.9)},
    calibration_slope=1.0,
    slope_records=5_000,
)


@pytest.fixture(scope="module")
def basis() -> Basis:
    return load_basis(default_locked_folder())


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        (0.8, 0.8, PASSED),
        (0.8, 0.7, PASSED),
        (0.8, 0.8099, PASSED),
        (0.8, 0.8101, FAILED),
        (None, 2.0, TOO_FEW),
        (0.8, float("nan"), FAILED),
    ],
)
def test_log_loss_may_not_be_worse_than_the_margin(before: float | None, after: float, state: str) -> None:
    in_force = None if before is None else replace(GOOD, log_loss=before)
    assert log_loss_gate(in_force, replace(GOOD, log_loss=after), LIMITS).state == state


@pytest.mark.parametrize(
    ("slope", "state"),
    [(0.95, PASSED), (1.05, PASSED), (0.949, FAILED), (1.051, FAILED), (None, FAILED), (float("nan"), FAILED)],
)
def test_the_calibration_slope_lies_within_the_bar(slope: float | None, state: str) -> None:
    assert calibration_gate(replace(GOOD, calibration_slope=slope), LIMITS).state == state


@pytest.mark.parametrize(("loss", "state"), [(0.74, PASSED), (0.76, FAILED), (float("nan"), FAILED)])
def test_a_subgroup_may_not_be_worse_than_its_margin(loss: float, state: str) -> None:
    worse = replace(GOOD, subgroups={**GOOD.subgroups, ("sex", "female"): (300, loss)})
    states = {gate.name: gate.state for gate in subgroup_gates(GOOD, worse, LIMITS)}
    assert states == {
        "log loss, sex female": state,
        "log loss, sex male": PASSED,
        "log loss, sex other": TOO_FEW,
    }


def test_too_few_to_say_is_shown_and_does_not_stop_a_model() -> None:
    worse = replace(GOOD, subgroups={("sex", "other"): (9, 5.0)})
    (gate,) = subgroup_gates(GOOD, worse, LIMITS)
    assert gate.state == TOO_FEW and gate.lets_pass and "n 9" in gate.found


def product(*rows: tuple[str, str, str, bool]) -> pl.DataFrame:
    """Records as through the product; each row: own tier of the condition, tier given, needs review."""
    return pl.DataFrame(
        [(f"r{number}", "some_condition", own, tier, review) for number, (own, _, tier, review) in enumerate(rows)],
        schema=dict.fromkeys(["record_id", "condition", "own_tier", "tier"], pl.String) | {"needs_review": pl.Boolean},
        orient="row",
    )


# own tier, tier by the model in force, tier by the new one, needs review by the new one, kind of miss if it is one
CASES = [
    ("emergency", "emergency", "soon", True, "emergencies"),
    ("same_day", "urgent", "routine", True, "emergencies"),
    ("urgent", "urgent", "soon", True, "others"),
    ("urgent", "same_day", "soon", False, "unseen"),
    ("emergency", "urgent", "self_care", False, "unseen"),
    ("emergency", "emergency", "urgent", False, None),
    ("emergency", "soon", "routine", False, None),
    ("urgent", "routine", "emergency", False, None),
    ("urgent", "soon", "soon", True, None),
]


@pytest.mark.parametrize(("own", "before", "after", "review", "kind"), CASES)
def test_what_counts_as_newly_missed(own: str, before: str, after: str, review: bool, kind: str | None) -> None:
    missed = newly_missed(product((own, "", before, False)), product((own, "", after, review)))
    assert missed["kind"].to_list() == ([kind] if kind else [])
    assert missed.select("before", "after").rows() == ([(before, after)] if kind else [])


@pytest.mark.parametrize(
    ("kind", "row", "most"),
    [
        ("unseen", ("emergency", "", "soon", False), 0),
        ("emergencies", ("emergency", "", "soon", True), 1),
        ("others", ("urgent", "", "soon", True), 2),
    ],
)
def test_newly_missed_records_pass_up_to_the_written_count(
    kind: str, row: tuple[str, str, str, bool], most: int
) -> None:
    for count, state in ((most, PASSED), (most + 1, FAILED)):
        seen = product(*[(row[0], "", "urgent", False)] * (count + 1))
        now = product(*[row] * count, (row[0], "", "urgent", False))
        states = {gate.name: gate.state for gate in danger_gates(seen, now, LIMITS)}
        others = {f"newly missed, {name}" for name in ("unseen", "emergencies", "others")} - {f"newly missed, {kind}"}
        assert states == {f"newly missed, {kind}": state} | dict.fromkeys(others, PASSED)


def test_a_record_that_one_product_lacks_is_an_error() -> None:
    twice = product(("urgent", "", "urgent", False), ("urgent", "", "urgent", False))
    with pytest.raises(pl.exceptions.ComputeError):
        newly_missed(twice, twice.with_columns(record_id=pl.lit("r0")))


@given(st.lists(st.tuples(st.sampled_from(["emergency", "urgent"]), st.sampled_from([*tiers()]), st.booleans())))
def test_a_model_always_passes_beside_itself(rows: list[tuple[str, str, bool]]) -> None:
    seen = product(*[(own, "", tier, review) for own, tier, review in rows])
    assert all(gate.lets_pass for gate in all_gates(GOOD, GOOD, seen, seen, LIMITS))


WRONG: list[dict[str, Any]] = [
    {"log_loss_worse_by_at_most": -0.1},
    {"calibration_slope": {"least": 1.2, "most": 1.05}},
    {"sentinels": {**GIVEN["sentinels"], "newly_missed_at_most": {"unseen": 0, "others": 1}}},  # type: ignore[dict-item]
    {"sentinels": {**GIVEN["sentinels"], "records": 3}},  # type: ignore[dict-item]
    {"another": 1},
]


@pytest.mark.parametrize("change", WRONG)
def test_the_file_of_limits_is_checked(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GateLimits.model_validate(GIVEN | change)


def test_the_written_limits_are_unsigned_and_hold_the_bar_of_the_product() -> None:
    assert yaml.safe_load((KNOWLEDGE / "promotion_gates.yaml").read_text())["signed_by"] is None
    limits = gate_limits()
    assert (limits.calibration_slope.least, limits.calibration_slope.most) == (0.95, 1.05)
    assert limits.sentinels.newly_missed_at_most.unseen == 0
    json.dumps(limits.model_dump())


def test_the_sentinels_are_the_same_every_time_and_hold_every_danger_equally(basis: Basis) -> None:
    first, again = (sentinel_records(basis.catalogue, LIMITS) for _ in range(2))
    assert first.records.equals(again.records)
    dangerous = {condition.id for condition in basis.catalogue.conditions.values() if condition.dangerous}
    names, counts = np.unique(first.condition, return_counts=True)
    assert set(names) == dangerous and counts.max() - counts.min() <= 1


def test_models_are_judged_on_common_records_by_group(basis: Basis) -> None:
    assert basis.model
    common = comparison_records(basis.catalogue, LIMITS)
    found = judged(basis.model, common, LIMITS)
    assert found.records == 600
    by_group: dict[str, list[tuple[int, float]]] = {}
    for (group, _), figures in found.subgroups.items():
        by_group.setdefault(group, []).append(figures)
    assert set(by_group) == {"sex", "age", "form by"}
    for figures in by_group.values():  # every record is in one value of each group
        assert sum(n for n, _ in figures) == 600
        assert sum(n * loss for n, loss in figures) / 600 == pytest.approx(found.log_loss)
    ages = common.records["age_years"]
    assert found.subgroups[("age", "under 16")][0] == (ages < 16).sum()
    assert found.subgroups[("age", "16-39")][0] == ages.is_between(16, 39).sum()
    assert found.subgroups[("age", "40 or older")][0] == (ages >= 40).sum()
    assert found.calibration_slope == basis.model.manifest["evaluation"]["model"]["calibration_slope"]


def test_rules_alone_newly_miss_what_only_the_model_found(basis: Basis, tmp_path: Path) -> None:
    cohort = sentinel_records(basis.catalogue, LIMITS)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    rules_only = load_basis(tmp_path / "none")
    assert rules_only.model is None
    with_model, without = (through_the_product(cohort, one, scored_at=at) for one in (basis, rules_only))
    assert with_model["condition"].to_list() == cohort.condition.tolist()
    assert set(with_model["own_tier"]) == {"emergency", "same_day", "urgent"}
    missed = newly_missed(with_model, without)
    assert missed.height > 0
    assert newly_missed(without, with_model).height == 0
    assert not any(gate.state == FAILED for gate in danger_gates(without, with_model, LIMITS))
