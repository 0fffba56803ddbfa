"""The referral function as a whole: every column, and what must hold for any record."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.advice import NO_SELF_CARE_TIERS
from models.basis import Basis
from models.decision_costs import decision_costs
from models.differential import probabilities
from models.features import feature_matrix
from models.imaging import RADIOLOGY
from models.red_flags import RedFlagFindings, danger, red_flag_findings, without_red_flags
from models.referral import (
    CHILD_DESTINATION,
    DOUBT_DESTINATION,
    TOLD_TIERS,
    possible_tiers,
    referral_rows,
)
from models.rule_language import Not, walk
from models.rules import YES, evaluate, rule_tiers
from schemas.form import answer_columns, questions
from schemas.records import record_schema
from schemas.referral import scored_schema
from schemas.tiers import tiers
from tests.referral_records import (
    RANK,
    SCORED_AT,
    basis,
    generated,
    mixed,
    one,
    ranks,
    records_of,
    red_flag_columns,
    rules_only,
    scattered,
    scored,
    with_one_answer,
)
from tests.rule_frames import frame_of

SEEDS = st.integers(0, 2**32 - 1)
# Without shrinking: each example is a batch, and its seed is all there is to make smaller.
FEW = settings(max_examples=3, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
N = 240
MAY_BE_NULL = {"patient_key", "age_years", "sex", "side", "worse_side", "duration_weeks", "weight_bearing"}
MAY_BE_NULL |= {"running_now", "ask_by", "review_reason"}
NEGATED = {
    column
    for rule in basis().rules.rules
    for conjunct in rule.conjuncts
    for part in walk(conjunct)
    if isinstance(part, Not)
    for column in part.columns()
}


# --- every column -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [basis(), rules_only()], ids=["model", "rules only"])
def test_every_column_is_there_with_its_type_and_filled(by: Any) -> None:
    records = mixed(N, 1)
    table = records.to_arrow().cast(record_schema())
    rows = referral_rows(table, table, by, scored_at=SCORED_AT)
    assert rows.schema == scored_schema()
    frame = pl.DataFrame(pl.from_arrow(rows))
    for column in frame.columns:
        nulls = frame[column].null_count()
        assert nulls == 0 or column in MAY_BE_NULL, (column, nulls)
    for column in (
        "clinic_id",
        "record_id",
        "age_years",
        "sex",
        "side",
        "duration_weeks",
        "intake_hash",
        "received_at",
    ):
        assert frame[column].to_list() == records[column].to_list()
    assert (frame["scored_at"] == SCORED_AT).all()
    assert set(frame["model_version"]) == {by.model_version}


def test_no_records_give_no_rows() -> None:
    for by in (basis(), rules_only()):
        empty = record_schema().empty_table()
        rows = referral_rows(empty, empty, by, scored_at=SCORED_AT)
        assert rows.schema == scored_schema() and rows.num_rows == 0


def test_a_record_that_states_nothing_goes_to_a_person() -> None:
    row = one({})
    assert (row["tier"], row["tier_basis"], row["needs_review"]) == ("soon", "floor", True)
    assert row["review_reason"].startswith("too few answers to judge")
    assert row["questions_to_ask"][0]["column"] == "age_years"
    assert row["reasons"] == [] and row["red_flags"] == [] and row["self_care"] is not None


# --- what must hold for any record ------------------------------------------------------------------------------


def scored_apart(parts: list[pl.DataFrame], by: Basis) -> list[pl.DataFrame]:
    """The rows of each part. All are scored together, because each call has a cost of its own."""
    rows = scored(records_of(pl.concat(parts)), by)
    return [rows.slice(place * parts[0].height, parts[0].height) for place in range(len(parts))]


@FEW
@given(SEEDS)
def test_a_fired_rule_is_never_outvoted_and_emergency_comes_from_a_rule(seed: int) -> None:
    records = mixed(N, seed)
    rows = scored(records)
    results = evaluate(records, basis().rules)
    got = ranks(rows)
    for rule in basis().rules.rules:
        if rule.tier is not None:
            assert (got[(results.status[rule.id] == YES).to_numpy()] <= RANK[rule.tier]).all(), rule.id
    by_rules = rule_tiers(results, basis().rules, records)
    rule_rank = by_rules["tier"].replace_strict(RANK, default=len(RANK), return_dtype=pl.Int64).to_numpy()
    assert (got <= rule_rank).all()
    earlier = by_rules["clock_hours"].fill_null(np.inf)
    assert (rows["clock_hours"] <= earlier).all()
    usual = rows["tier"].replace_strict({t.id: float(t.see_by_hours) for t in tiers().values()})
    assert (rows["clock_hours"] <= usual).all()
    for row in rows.filter(pl.col("tier") == "emergency").iter_rows(named=True):
        assert row["tier_basis"] == "rule"
        assert row["red_flags"][0]["tier"] == "emergency"
        assert row["tier_reason"] == row["red_flags"][0]["text"].rstrip(".") + "."
    for row in rows.filter(pl.col("tier_basis") == "model").iter_rows(named=True):
        assert RANK[row["tier"]] >= RANK["same_day"]
    for row in rows.iter_rows(named=True):
        flagged = [RANK[flag["tier"]] for flag in row["red_flags"]]
        assert not flagged or RANK[row["tier"]] <= min(flagged)


@FEW
@given(SEEDS)
def test_adding_a_red_flag_finding_never_makes_the_tier_less_urgent(seed: int) -> None:
    before = mixed(N, seed)
    after = with_one_answer(before, red_flag_columns(), seed, (None, False), True)
    for by in (basis(), rules_only()):
        earlier, later = scored_apart([before, after], by)
        assert (ranks(later) <= ranks(earlier)).all()


def test_each_red_flag_finding_alone_never_makes_the_tier_less_urgent() -> None:
    before = mixed(24, 5)
    columns = red_flag_columns()
    after = [with_one_answer(before, [column], 0, (None, False), True) for column in columns]
    assert (ranks(scored(records_of(pl.concat(after)))) <= np.tile(ranks(scored(before)), len(columns))).all()


@FEW
@given(SEEDS)
@example(172994)
def test_walking_worse_never_makes_the_tier_less_urgent(seed: int) -> None:
    records, order = mixed(N, seed), ["normal", "limp", "aid", "cannot"]
    rows = scored_apart([records.with_columns(pl.lit(answer).alias("weight_bearing")) for answer in order], basis())
    for earlier, later in pairwise(rows):
        less_urgent = (ranks(later) > ranks(earlier)).nonzero()[0]
        assert led_by_danger(earlier)[less_urgent].all()


def led_by_danger(rows: pl.DataFrame) -> np.ndarray:
    """Where the likeliest condition is a dangerous one by the plain reading: a known gap (docs/model.md).

    Such a record is looked at by a person whatever the cautious reading says, and a more worrying answer can bring a
    harmless condition to the head. Seed 172994 has one.
    """
    head = rows["differential"].list.first().struct.field("condition")
    return head.is_in(sorted(decision_costs().conditions)).to_numpy()


@FEW
@given(SEEDS)
def test_a_blank_never_reassures(seed: int) -> None:
    """An absent red flag that becomes blank makes no tier less urgent; of other findings this holds by the rules.

    A harmless condition becomes likelier when a finding that speaks against it is no longer known, so that of the
    model's part it holds for red flags only.
    """
    before = mixed(N, seed)
    after = with_one_answer(before, red_flag_columns(), seed, (False,), None)
    findings = [c for c in answer_columns() if questions()[c].type == "yesno" and c not in NEGATED]
    blanked = with_one_answer(before, findings, seed, (False,), None)
    for changed, by in ((after, basis()), (blanked, rules_only())):
        earlier, later = scored_apart([before, changed], by)
        assert (ranks(later) <= ranks(earlier)).all()


def test_blanks_weigh_nothing_and_leaving_all_out_never_ends_below_soon() -> None:
    records = generated(N, 8)
    names = [c for c in answer_columns() if c not in ("age_years", "sex")]
    rows = scored(records.with_columns(pl.lit(None, records[c].dtype).alias(c) for c in names))
    assert rows["needs_review"].all() and (ranks(rows) <= RANK["soon"]).all()


@FEW
@given(SEEDS)
def test_the_score_never_contradicts_the_tier(seed: int) -> None:
    for by in (basis(), rules_only()):
        rows = scored(mixed(N, seed), by)
        assert rows["priority_score"].is_between(0, 100).all()
        bands = [rows.filter(pl.col("tier") == tier)["priority_score"] for tier in tiers()]
        filled = [(band.min(), band.max()) for band in bands if len(band)]
        assert all(lower[1] < upper[0] for upper, lower in pairwise(filled))


@FEW
@given(SEEDS)
def test_the_order_of_columns_and_rows_changes_nothing(seed: int) -> None:
    records = mixed(80, seed)
    rng = np.random.default_rng(seed)
    straight = scored(records)
    turned = scored(records.select(rng.permutation(records.columns).tolist())[rng.permutation(records.height)])
    _assert_same_rows(straight, turned.sort("record_id"))


@FEW
@given(SEEDS, st.integers(1, 79))
def test_a_batch_in_parts_scores_as_the_whole(seed: int, cut: int) -> None:
    records = mixed(80, seed)
    parts = pl.concat([scored(records[:cut]), scored(records[cut:])])
    _assert_same_rows(scored(records), parts)


def _assert_same_rows(expected: pl.DataFrame, got: pl.DataFrame) -> None:
    """Equal but for the last digits of probabilities and weights."""
    assert_frame_equal(expected.drop("reasons"), got.drop("reasons"), rel_tol=0, abs_tol=1e-9)
    for one_row, other in zip(expected["reasons"].to_list(), got["reasons"].to_list(), strict=True):
        assert [_key(r) for r in one_row] == [_key(r) for r in other]
        assert [r["weight"] for r in one_row] == pytest.approx([r["weight"] for r in other], abs=1e-9)


def _key(reason: dict[str, Any]) -> tuple[str, ...]:
    return reason["condition"], reason["column"], reason["answer"], reason["direction"]


@FEW
@given(SEEDS)
def test_rules_alone_leave_nobody_waiting(seed: int) -> None:
    rows = scored(mixed(N, seed), rules_only())
    assert (ranks(rows) <= RANK["soon"]).all() and rows["needs_review"].all()
    assert set(rows["tier_basis"]) <= {"rule", "floor"}
    assert rows["review_reason"].str.contains("no model is in force: rules only", literal=True).all()
    assert (rows["differential"].list.len() == 0).all() and (rows["prediction_set"].list.len() == 0).all()
    dangerous = {c.id for c in basis().catalogue.conditions.values() if c.dangerous}
    harmless = {item.id for item in basis().advice.self_care if not item.harms & dangerous}
    assert {advice for given in rows["self_care"] for advice in given} <= harmless  # nothing is excluded
    assert (rows["until_seen"].list.len() > 0).all()
    assert (ranks(rows) >= RANK["emergency"]).all() and (ranks(scored(mixed(N, seed))) >= 0).all()


@FEW
@given(SEEDS)
def test_children_and_young_people(seed: int) -> None:
    rng = np.random.default_rng(seed)
    records = mixed(N, seed).with_columns(pl.Series("age_years", rng.integers(3, 18, N), dtype=pl.Int32))
    for by in (basis(), rules_only()):
        rows = scored(records, by)
        child = rows["age_years"] < 16
        limps = records["weight_bearing"].is_in(["limp", "aid", "cannot"]).fill_null(False)
        limps |= records["exam__antalgic_gait"].fill_null(False)
        assert (ranks(rows)[child.to_numpy()] <= RANK["urgent"]).all()
        assert (ranks(rows)[(child & limps).to_numpy()] <= RANK["same_day"]).all()
        assert (rows.filter(~child)["tier"] != "self_care").all()
        young = rows.filter(child)
        assert (young["tier_basis"] == "rule").all() and young["needs_review"].all()
        assert young["review_reason"].str.starts_with("under 16").all()
        assert young["destination"].str.to_lowercase().str.contains("paediatric|child").all()
        assert young["special"].list.contains("child").all()
        assert not rows.filter(~child)["special"].list.contains("child").any()
        assert rows.filter(~child)["special"].list.contains("young_person").all()


@FEW
@given(SEEDS)
def test_review_goes_with_a_reason_and_never_waits(seed: int) -> None:
    records = mixed(N, seed)
    rows = scored(records)
    assert (rows["needs_review"] == rows["review_reason"].is_not_null()).all()
    assert (ranks(rows)[rows["needs_review"].to_numpy()] <= RANK["soon"]).all()
    warned = records["warnings"].list.len() > 0
    assert rows.filter(warned)["review_reason"].str.contains("answers to check: ", literal=True).all()
    dangerous = {c.id for c in basis().catalogue.conditions.values() if c.dangerous}
    for row in rows.iter_rows(named=True):
        assert not (dangerous & set(row["prediction_set"])) or row["needs_review"]


@FEW
@given(SEEDS)
def test_the_differential_is_a_distribution_over_the_catalogue(seed: int) -> None:
    classes = set(basis().catalogue.conditions)
    assert len(classes) == 27
    for row in scored(mixed(120, seed)).iter_rows(named=True):
        given = [entry["probability"] for entry in row["differential"]]
        assert {entry["condition"] for entry in row["differential"]} == classes and len(given) == 27
        assert sum(given) == pytest.approx(1, abs=1e-9) and min(given) > 0
        assert given == sorted(given, reverse=True)
        assert row["differential"][0]["condition"] in row["prediction_set"]
        assert len(set(row["prediction_set"])) == len(row["prediction_set"])
        assert set(row["prediction_set"]) <= classes
        assert len(row["contributing_factors"]) <= 3
        assert {reason["condition"] for reason in row["reasons"]} <= classes


@FEW
@given(SEEDS)
def test_advice_fits_the_tier(seed: int) -> None:
    rows = scored(mixed(N, seed))
    assert (rows["safety_net"].list.len() > 0).all()
    soon = rows.filter(pl.col("tier").is_in(NO_SELF_CARE_TIERS))
    assert soon.height and (soon["self_care"].list.len() == 0).all()
    by_tier = rows.group_by("tier").agg(pl.col("safety_net").n_unique())
    assert (by_tier["safety_net"] == 1).all()


@FEW
@given(SEEDS)
def test_rule_status_tells_every_emergency_and_same_day_rule(seed: int) -> None:
    records = mixed(60, seed)
    rows, results = scored(records), evaluate(records, basis().rules)
    told = [rule.id for rule in basis().rules.rules if rule.tier in TOLD_TIERS]
    for number, row in enumerate(rows.iter_rows(named=True)):
        assert [entry["id"] for entry in row["rule_status"]] == told
        for entry in row["rule_status"]:
            assert entry["result"] == results.status[entry["id"]][number]
            assert entry["missing"] == results.missing[entry["id"]][number].to_list()


def test_free_text_never_reaches_a_referral() -> None:
    canary = "CANARY-7f3"
    records = mixed(20, 2).with_columns(pl.lit(canary).alias("notes"), pl.lit(True).alias("has_notes"))
    rows = scored(records)
    assert "notes" not in rows.columns and rows["has_notes"].all()
    assert canary not in json.dumps(rows.to_dicts(), default=str)


# --- red flags as the model reads them --------------------------------------------------------------------------


def test_danger_rises_along_every_ladder() -> None:
    model = basis().model
    assert model is not None
    records = generated(60, 21)
    places = [number for number, name in enumerate(model.classes) if name in basis().costs.conditions]

    def read(changed: pl.DataFrame) -> np.ndarray:
        matrix = feature_matrix(changed)
        without = np.log(probabilities(model, changed, without_red_flags(matrix)))
        return danger(model.estimator.answer_weights(), matrix, without, places)

    for column in ("systemic__fever", "night_pain", "history__cancer", "exam__hop", "neuro__leg_weakness"):
        group = f"{column.partition('__')[0]}__none_of_these"
        base = records.with_columns(pl.lit(None, pl.Boolean).alias(c) for c in (group,) if c in records.columns)
        base = base.with_columns(pl.lit(None, pl.Boolean).alias("wellbeing__poor_sleep"))  # one fact with night pain
        absent, blank, present = (
            read(base.with_columns(pl.lit(answer, pl.Boolean).alias(column))) for answer in (False, None, True)
        )
        # The floor under probabilities shows below 1e-9; what leads to action lies above 0.009.
        assert (absent <= blank + 1e-9).all() and (blank <= present + 1e-9).all()
        assert (absent < present).any(), column


def test_red_flags_left_out_leave_the_rest_as_it_was() -> None:
    records = generated(50, 22)
    flags = [*red_flag_columns(), *red_flag_findings().ladders]
    flags += ["wellbeing__poor_sleep"]  # the form marks it as one fact with night pain
    blank = records.with_columns(pl.lit(None, records[c].dtype).alias(c) for c in flags)
    none_of = [c for c in records.columns if c.endswith("__none_of_these")]
    rest = without_red_flags(feature_matrix(records)).toarray()
    plain = feature_matrix(blank.with_columns(records[c] for c in none_of)).toarray()
    assert (rest <= feature_matrix(records).toarray()).all() and (rest <= plain).all()


# --- where to ---------------------------------------------------------------------------------------------------

GROIN = {"age_years": 24, "runner_level": "competitive", "pain_site__groin": 1}
RAISED = {
    "age_years": 30,
    "pain_site__buttock": 1,
    "pain_site__posterior_thigh": 1,
    "aggravated__sitting": 1,
    "exam__tender_ischial_tuberosity": 1,
    "duration_weeks": 30,
    "weight_bearing": "normal",
    "history__failed_rest": 1,
    "history__low_energy_availability": 1,
}
WHERE: list[tuple[dict[str, Any], str, str]] = [
    ({"age_years": 40, "neuro__saddle_numbness": 1}, "emergency department with MRI at all hours", "MRI of the lumbar"),
    ({"age_years": 40, "history__cancer": 1}, DOUBT_DESTINATION + "acute oncology", ""),
    ({"age_years": 12, "local__leg_swelling": 1}, CHILD_DESTINATION + "deep vein thrombosis service", "ultrasound"),
    ({"age_years": 12}, "paediatric orthopaedics", "X-ray of pelvis"),
]


@pytest.mark.parametrize(("answers", "destination", "imaging"), WHERE)
def test_where_to(answers: dict[str, Any], destination: str, imaging: str) -> None:
    row = one(answers)
    assert row["destination"].startswith(destination)
    assert row["first_imaging"].startswith(imaging)


def test_the_raising_rule_adds_its_destination_and_its_flag() -> None:
    row = one(RAISED)
    assert row["destination"].endswith("; add bone health or sports medicine")
    assert row["red_flags"][-1]["id"] == "low_energy_bone_pain"
    assert [flag["tier"] for flag in row["red_flags"]] == ["routine", "soon"] and row["tier"] == "soon"


def test_pregnancy_is_decided_with_radiology_and_marked() -> None:
    for column in ("history__pregnant", "history__possible_pregnancy"):
        row = one({**GROIN, "training__mileage_increase": 1, "rest_pain": 1, "aggravated__running": 1, column: 1})
        assert RADIOLOGY in row["first_imaging"] and "pregnancy" in row["special"]
    assert RADIOLOGY not in str(one(GROIN)["first_imaging"])


SPECIAL: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"age_years": 15}, ["child"]),
    ({"age_years": 16}, ["young_person"]),
    ({"age_years": 17, "history__alcohol_excess": 1}, ["young_person", "safeguarding_review"]),
    ({"age_years": 18, "history__alcohol_excess": 1}, []),
    ({"age_years": 30, "history__possible_pregnancy": 1}, ["pregnancy"]),
    ({"age_years": 30, "history__possible_pregnancy": 0}, []),
    ({"age_years": 15, "history__pregnant": 1}, ["child", "pregnancy", "safeguarding_review"]),
    ({"age_years": 15, "history__postpartum": 1}, ["child", "safeguarding_review"]),
    ({"age_years": 30, "imaging__xray": "awaited"}, []),
    ({"age_years": 30, "imaging__mri": "result_unknown"}, ["imaged"]),
]


def test_special_circumstances() -> None:
    rows = scored(records_of([answers for answers, _ in SPECIAL]))
    assert rows["special"].to_list() == [marks for _, marks in SPECIAL]


def test_rules_read_what_was_stated_before_and_the_model_what_is_stated_now() -> None:
    now = records_of([{"pain_site__groin": 1, "weight_bearing": "normal"}])
    before = records_of(
        [{"pain_site__groin": 1, "weight_bearing": "normal", "age_years": 12, "imaging__xray": "normal"}]
    )
    row = scored(now, for_rules=before).row(0, named=True)
    assert row["age_years"] is None and row["headline"].startswith("AGE NOT STATED")
    assert row["special"] == ["child", "imaged"] and row["tier"] == "urgent"
    assert all(question["column"] != "age_years" for question in row["questions_to_ask"])


# --- refused records --------------------------------------------------------------------------------------------


def test_refused_records_may_still_say_an_emergency() -> None:
    readable = frame_of([{"neuro__saddle_numbness": 1}, {}]).with_columns(
        pl.lit("b1").alias("batch_id"), pl.Series("record_number", [3, 4])
    )
    found = pl.DataFrame(pl.from_arrow(possible_tiers(readable.to_arrow(), basis())))
    assert found["possible_tier"].to_list() == ["emergency", None]
    assert found["possible_red_flags"].to_list() == [["cauda_equina"], []]
    assert found["record_number"].to_list() == [3, 4]


def test_scattered_records_reach_every_tier() -> None:
    """The records of the tests above are worth testing with: each tier and each basis occurs."""
    rows = scored(mixed(1000, 3))
    assert set(rows["tier"]) == set(tiers()) and set(rows["tier_basis"]) == {"rule", "model", "floor"}
    assert set(scored(scattered(200, 3))["tier"]) >= {"emergency", "same_day", "urgent"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"findings": {"infection": ["systemic__fevre"]}}, "no yes/no column 'systemic__fevre'"),
        ({"findings": {"walk": ["weight_bearing"]}}, "no yes/no column 'weight_bearing'"),
        ({"ladders": {"weight_bearing": ["normal", "limp"]}}, "not the answers of a choice column: 'weight_bearing'"),
        ({"ladders": {"night_pain": ["1", "0", "2"]}}, "not the answers of a choice column: 'night_pain'"),
    ],
)
def test_a_wrong_red_flag_finding_is_refused(change: dict[str, Any], message: str) -> None:
    good = red_flag_findings().model_dump()
    with pytest.raises(ValueError, match=message):
        RedFlagFindings.model_validate(good | change)
