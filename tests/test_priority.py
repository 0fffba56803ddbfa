"""How rules, model and floors become one tier, one clock, one score and one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from models.priority import Judged, combine, without_model
from models.rules import evaluate, rule_tiers
from models.wording import CRITERION, in_a_sentence, rule_in_a_sentence, rule_in_doubt
from schemas.tiers import tiers
from tests.referral_records import RANK, basis, mixed, one, records_of, scored

CLASSES = tuple(sorted(basis().catalogue.conditions))
DANGEROUS = tuple(number for number, name in enumerate(CLASSES) if name in basis().costs.conditions)
ADULT = {"age_years": 40}


def judged(probable: dict[str, float], *, thin: bool = False, unlike: bool = False) -> Judged:
    """What a model that is this sure would say of one record; the rest of the probability is hip osteoarthritis's."""
    given = np.array([[probable.get(name, 0.0) for name in CLASSES]])
    given[0, CLASSES.index("osteoarthritis")] += 1 - given.sum()
    held, danger = given >= given.max(), given[:, list(DANGEROUS)]
    review_from = np.array([basis().costs.conditions[CLASSES[place]].review_from for place in DANGEROUS])
    return Judged(
        classes=CLASSES,
        probabilities=given,
        held=held,
        dangerous=DANGEROUS,
        danger=danger,
        suspected=held[:, list(DANGEROUS)] | (danger >= review_from),
        plain=given.argmax(axis=1),
        too_thin=np.array([thin]),
        unlike=np.array([unlike]),
    )


def combined(answers: dict[str, Any], by: Judged) -> dict[str, Any]:
    """What ``combine`` makes of one record."""
    records = records_of([answers])
    by_rules = rule_tiers(evaluate(records, basis().rules), basis().rules, records)
    return combine(records, by_rules, by, basis()).row(0, named=True)


SURE = {"osteoarthritis": 1.0}
LOW_ENERGY = {**ADULT, "pain_site__buttock": 1, "history__low_energy_availability": 1}
TOLD: list[tuple[str, dict[str, Any], dict[str, float], str, str, str]] = [
    (
        "rule",
        {**ADULT, "local__leg_swelling": 1},
        SURE,
        "same_day",
        "rule",
        "The whole calf or thigh of one leg is swollen.",
    ),
    (
        "cannot tell",
        {**ADULT, "history__cancer": 1},
        SURE,
        "urgent",
        "rule",
        "Meets part of a published criterion for compression of the spinal cord, and the rest is not known: cancer now"
        " or before, with new weakness, numbness or trouble with bladder or bowel.",
    ),
    (
        "consider",
        ADULT,
        {"femoral_neck_stress_fracture": 0.2},
        "same_day",
        "model",
        "Consider femoral neck stress fracture: by weights from published figures it is likely enough not to wait.",
    ),
    ("default", ADULT, SURE, "routine", "model", "No red flag fired; most likely hip osteoarthritis."),
    (
        "default, unnamed",
        ADULT,
        {"not_in_catalogue": 0.9},
        "soon",
        "model",
        "No red flag fired; most likely another cause, not in the catalogue.",
    ),
    (
        "default above a rule",
        {**ADULT, "history__failed_rest": 1},
        {"labral_tear": 0.9},
        "soon",
        "model",
        "No fired rule asks for more; most likely acetabular labral tear.",
    ),
    (
        "floor",
        ADULT,
        {"bone_stress_injury": 0.15},
        "soon",
        "floor",
        "No red flag fired, but a person has to look (see the review reason).",
    ),
    (
        "floor above a rule",
        {**ADULT, "history__failed_rest": 1},
        {"bone_stress_injury": 0.15},
        "soon",
        "floor",
        "No fired rule asks for more, but a person has to look (see the review reason).",
    ),
    (
        "no age",
        {},
        {"gluteal_tendinopathy": 0.9},
        "routine",
        "floor",
        "No red flag fired, but nobody is left to self-care whose age is not known.",
    ),
    (
        "raised one tier",
        LOW_ENERGY,
        SURE,
        "soon",
        "rule",
        "Raised one tier from routine: too little energy for the training, or missing periods, with pain where bones"
        " give way under load.",
    ),
]


@pytest.mark.parametrize(
    ("answers", "probable", "tier", "on", "reason"), [t[1:] for t in TOLD], ids=[t[0] for t in TOLD]
)
def test_the_sentence_on_what_the_tier_rests_on(
    answers: dict[str, Any], probable: dict[str, float], tier: str, on: str, reason: str
) -> None:
    found = combined(answers, judged(probable))
    assert (found["tier"], found["tier_basis"], found["tier_reason"]) == (tier, on, reason)


@settings(max_examples=3, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.integers(0, 2**32 - 1))
def test_sentences_are_sentences(seed: int) -> None:
    for row in scored(mixed(250, seed)).iter_rows(named=True):
        assert row["tier_reason"].endswith(".") and ".." not in row["tier_reason"]
        assert row["tier_reason"][0].isupper() and "null" not in row["tier_reason"]
        for words in (row["tier_reason"], row["review_reason"] or "", row["destination"], row["first_imaging"]):
            assert words == words.strip() and "  " not in words and "None" not in words and "_" not in words
            assert words.count(CRITERION) <= 1


def test_the_model_raises_at_its_written_limit_and_never_to_emergency() -> None:
    for place in DANGEROUS:
        name = CLASSES[place]
        cost = basis().costs.conditions[name]
        above, below = (combined(ADULT, judged({name: cost.raise_from + step})) for step in (1e-6, -1e-6))
        assert (above["tier"], above["tier_basis"], above["leading"]) == (cost.raises_to, "model", name)
        assert below["tier_basis"] != "model" or below["leading"] != name
        sure = combined(ADULT, judged({name: 0.98}))
        assert RANK[sure["tier"]] >= RANK["same_day"]
        assert name in basis().costs.conditions and sure["needs_review"]


def test_the_model_raises_nobody_under_16() -> None:
    found = combined({"age_years": 12}, judged({"septic_arthritis": 0.98}))
    assert (found["tier"], found["tier_basis"]) == ("urgent", "rule")
    assert found["leading"] is None
    assert found["review_reason"] == "under 16: the model is not built for children and rules decide"


def test_a_rule_is_never_outvoted_by_a_model_that_is_sure() -> None:
    found = combined({**ADULT, "neuro__saddle_numbness": 1}, judged({"gluteal_tendinopathy": 1.0}))
    assert (found["tier"], found["tier_basis"], found["clock_hours"]) == ("emergency", "rule", 0.0)


def test_a_rule_and_the_model_at_one_tier_rest_on_the_rule() -> None:
    found = combined({**ADULT, "local__leg_swelling": 1}, judged({"septic_arthritis": 0.9}))
    assert (found["tier"], found["tier_basis"]) == ("same_day", "rule")
    assert found["decides"] and not found["in_doubt"]


def test_the_raise_of_one_tier_comes_once_and_ends_at_urgent() -> None:
    soon = combined(LOW_ENERGY, judged({"labral_tear": 0.9}))
    assert (soon["tier"], soon["tier_basis"]) == ("urgent", "rule")
    urgent = combined(LOW_ENERGY, judged({"bone_stress_injury": 0.9}))
    assert (urgent["tier"], urgent["tier_basis"]) == ("urgent", "model")
    assert soon["tier_reason"].startswith("Raised one tier from soon: ")


def test_without_a_model_everybody_is_seen_soon_or_sooner() -> None:
    found = combined(ADULT, without_model(np.array([False])))
    assert (found["tier"], found["tier_basis"], found["review_reason"]) == (
        "soon",
        "floor",
        "no model is in force: rules only",
    )


REVIEW: list[tuple[dict[str, Any], dict[str, Any], dict[str, float], str | None]] = [
    (ADULT, {}, SURE, None),
    (ADULT, {"thin": True}, SURE, "too few answers to judge"),
    (ADULT, {"unlike": True}, SURE, "unlike the records that the model learnt from"),
    (ADULT, {"unlike": True, "thin": True}, SURE, "too few answers to judge"),
    (
        ADULT,
        {"thin": True},
        {"septic_arthritis": 0.015, "femoral_neck_stress_fracture": 0.04},
        "too few answers to judge; cannot exclude femoral neck stress fracture or septic arthritis of the hip",
    ),
]


@pytest.mark.parametrize(("answers", "marks", "probable", "reason"), REVIEW)
def test_review_reasons(
    answers: dict[str, Any], marks: dict[str, Any], probable: dict[str, float], reason: str | None
) -> None:
    found = combined(answers, judged(probable, **marks))
    assert (found["needs_review"], found["review_reason"]) == (reason is not None, reason)
    assert reason is None or RANK[found["tier"]] <= RANK["soon"]


def test_answers_to_check_are_named_once_each() -> None:
    warned = records_of([{**ADULT, "weight_bearing": "normal"}]).with_columns(
        pl.lit(["implausible", "sides_disagree", "implausible"]).alias("warnings")
    )
    reason = scored(warned)["review_reason"][0]
    assert "answers to check: the number lies outside what is usual; the worse side is not a side that hurts" in reason
    assert reason.count("outside what is usual") == 1


def test_the_earliest_clock_counts_and_places_a_record_within_its_tier() -> None:
    early = combined({**ADULT, "screen__other_joints": 1, "morning_stiffness_min": 60}, judged(SURE))
    later = combined({**ADULT, "history__cancer": 1, "night_pain": 1, "neuro__none_of_these": 1}, judged(SURE))
    assert (early["tier"], early["clock_hours"]) == ("urgent", 72.0)
    assert (later["tier"], later["clock_hours"]) == ("urgent", 336.0)
    assert early["priority_score"] > later["priority_score"]


def test_scores_stay_within_the_band_of_their_tier() -> None:
    bands = [tier.score_from for tier in tiers().values()]
    for name in ("septic_arthritis", "tumour", "gluteal_tendinopathy", "labral_tear", "osteoarthritis"):
        for share in (0.3, 0.999):
            found = combined(ADULT, judged({name: share}))
            low, high = bands[RANK[found["tier"]]], [100.0, *bands][RANK[found["tier"]]]
            assert low <= found["priority_score"] < high


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Hip osteoarthritis", "hip osteoarthritis"),
        ("MRI of the spine.", "MRI of the spine"),
        ("X-ray, standing", "X-ray, standing"),
        ("A fall or injury.", "a fall or injury"),
        ("", ""),
    ],
)
def test_words_inside_a_sentence(words: str, said: str) -> None:
    assert in_a_sentence(words) == said


def test_rules_inside_a_sentence() -> None:
    for rule in basis().rules.rules:
        assert CRITERION not in rule_in_a_sentence(rule.text)
        doubt = rule_in_doubt(rule.text)
        assert doubt.startswith("Meets part of ") and doubt.endswith(".") and ".." not in doubt


def test_a_full_record_of_a_harmless_condition_is_left_to_self_care_with_advice() -> None:
    answers = {
        "age_years": 48,
        "sex": "female",
        "pain_site__lateral_hip": 1,
        "pain_site__groin": 0,
        "aggravated__lying_on_side": 1,
        "aggravated__stairs": 1,
        "weight_bearing": "normal",
        "exam__tender_greater_trochanter": 1,
        "exam__trendelenburg": 1,
        "duration_weeks": 14,
        "systemic__none_of_these": 1,
        "neuro__none_of_these": 1,
        "local__none_of_these": 1,
    }
    row = one(answers)
    assert (row["tier"], row["tier_basis"], row["needs_review"]) == ("self_care", "model", False)
    assert row["self_care"] and row["until_seen"] == []
    assert row["differential"][0]["condition"] in ("gluteal_tendinopathy", "trochanteric_bursitis")
