"""Advice: strict files, and what may never be given."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.advice import NO_SELF_CARE_TIERS, AdviceError, choose_advice, load_advice
from models.knowledge_files import KNOWLEDGE, condition_ids, factor_ids
from models.rules import load_rules
from schemas.tiers import tiers

BOOK = load_advice()
BY_ID = {item.id: item for item in BOOK.self_care}
DANGEROUS = (
    "femoral_neck_stress_fracture",
    "bone_stress_injury",
    "septic_arthritis",
    "slipped_capital_femoral_epiphysis",
    "infectious_bursitis",
    "deep_infection",
    "tumour",
    "avascular_necrosis",
)


def _choose(rows: list[dict[str, Any]]) -> pl.DataFrame:
    texts = pl.List(pl.String)
    return choose_advice(
        pl.Series([row.get("helps", []) for row in rows], dtype=texts),
        pl.Series([row.get("danger", []) for row in rows], dtype=texts),
        pl.Series([row.get("tier", "self_care") for row in rows], dtype=pl.String),
        pl.Series([row.get("pregnant", False) for row in rows], dtype=pl.Boolean),
        pl.Series([row.get("age", 35) for row in rows], dtype=pl.Int32),
        BOOK,
    )


def test_band_syndrome_alone_gets_the_articles_advice() -> None:
    given_ids = _choose([{"helps": ["iliotibial_band_syndrome"]}])["self_care"][0].to_list()
    assert {"a2_band_reduce", "a2_band_strengthen", "a2_band_stretch", "a2_new_shoes"} <= set(given_ids)
    assert all("iliotibial_band_syndrome" in BY_ID[name].helps for name in given_ids)


@pytest.mark.parametrize("danger", DANGEROUS)
def test_nothing_that_harms_what_is_not_excluded(danger: str) -> None:
    rows = [{"helps": sorted(condition_ids() | factor_ids()), "danger": [danger]}, {"danger": [danger]}]
    chosen = _choose(rows)
    assert not any(danger in BY_ID[name].harms for name in chosen["self_care"][0].to_list())
    assert "a1_halve_impact" not in chosen["self_care"][0].to_list()
    assert chosen["until_seen"][1].len() > 0


def test_advice_harms_every_dangerous_condition_unless_its_file_says_otherwise() -> None:
    harmless = {item.id for item in BOOK.self_care if not set(DANGEROUS) <= item.harms}
    assert harmless == {
        "a2_tailored_programme",
        "a2_unload_first_days",
        "a2_less_sitting",
        "a3_evaluation",
        "a4_clearance",
        "a4_qualified_trainer",
    }


@pytest.mark.parametrize(
    ("row", "advice", "expected"),
    [
        ({"helps": ["tight_hip_flexors"]}, "a5_seated_twist", True),
        ({"helps": ["tight_hip_flexors"], "pregnant": True}, "a5_seated_twist", False),
        ({"helps": ["tight_hip_flexors"], "pregnant": None}, "a5_seated_twist", False),
        ({"helps": ["tight_hip_flexors"], "pregnant": True}, "a4_mobility", True),
        ({"helps": ["tight_hip_flexors"], "danger": ["labral_tear"]}, "a5_seated_twist", False),
        ({"helps": ["gluteal_tendinopathy"]}, "a2_bursitis_stretch", False),
        ({"helps": ["trochanteric_bursitis"]}, "a2_bursitis_stretch", True),
        ({"helps": ["trochanteric_bursitis"], "danger": ["gluteal_tendinopathy"]}, "a2_bursitis_stretch", False),
        ({"helps": ["muscle_imbalance"], "age": 18}, "a2_compound_strength", True),
        ({"helps": ["muscle_imbalance"], "age": 17}, "a2_compound_strength", False),
        ({"helps": ["muscle_imbalance"], "age": None}, "a2_compound_strength", False),
        ({"helps": ["iliotibial_band_syndrome"], "age": 15}, "a2_new_shoes", False),
        ({"helps": ["iliotibial_band_syndrome"], "tier": "routine"}, "a2_new_shoes", True),
        ({"helps": ["cambered_roads"]}, "a2_flat_ground", True),
    ],
)
def test_who_gets_what(row: dict[str, Any], advice: str, expected: bool) -> None:
    assert (advice in _choose([row])["self_care"][0].to_list()) is expected


def test_six_at_most_the_likeliest_first_and_general_advice_last() -> None:
    likely = ["iliotibial_band_syndrome", "piriformis_syndrome", "cambered_roads", "running_form"]
    got = _choose([{"helps": likely}, {"helps": likely[:1]}, {"helps": ["cambered_roads"]}, {}])["self_care"]
    assert got.list.len().to_list() == [6, 6, 5, 0] and BOOK.at_most == 6
    assert got[0].to_list()[0] == "a2_vary_routes"  # helps the likeliest condition and the likeliest factor
    assert got[1].to_list()[:3] == ["a2_band_reduce", "a2_band_stretch", "a2_new_shoes"]  # these help nothing else
    assert got[2].to_list()[-1] == "a2_vary_routes"  # helps two other things as well


def _by_hand(row: dict[str, Any]) -> list[str]:
    """The rule of ``advice.yaml`` for one record, one item at a time."""
    place: dict[str, int] = {}
    for kind in (condition_ids(), factor_ids()):
        ids = [name for name in row["helps"] if name in kind]
        place |= {name: number for number, name in enumerate(ids)}
    found = []
    for number, item in enumerate(BOOK.self_care):
        share = sum((6, 3, 2)[min(place[name], 2)] for name in item.helps if name in place)
        harmed = item.harms & set(row["danger"])
        if share and not harmed and item.never_publish is None and item.minimum_age <= 35:
            found.append((-share, len(item.helps), number, item.id))
    return [name for *_, name in sorted(found)[:6]]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_relevance_follows_the_written_rule(data: st.DataObject) -> None:
    ids = st.lists(st.sampled_from(sorted(condition_ids() | factor_ids())), max_size=6, unique=True)
    danger = st.lists(st.sampled_from(["labral_tear", "sciatica", "gluteal_tendinopathy"]), max_size=2)
    rows = data.draw(st.lists(st.fixed_dictionaries({"helps": ids, "danger": danger}), min_size=1, max_size=5))
    assert _choose(rows)["self_care"].to_list() == [_by_hand(row) for row in rows]


def test_never_published_advice_is_kept_with_its_reason_and_never_given() -> None:
    kept = {item.id for item in BOOK.self_care if item.never_publish}
    assert {"a2_middle_of_road", "a5_tape"} <= kept
    everything = _choose([{"helps": sorted(condition_ids() | factor_ids()), "tier": tier} for tier in tiers()])
    assert not kept & set(everything["self_care"].explode().drop_nulls())


def test_every_article_and_every_published_factor_has_advice() -> None:
    assert {item.article for item in BOOK.self_care} == {"A1", "A2", "A3", "A4", "A5"}
    helped = {name for item in BOOK.self_care if not item.never_publish for name in item.helps}
    assert factor_ids() <= helped


@pytest.mark.parametrize(
    ("advice", "figures"),
    [
        ("a1_halve_impact", "half the volume, one week"),
        ("a1_ten_percent", "10 % a week"),
        ("a1_glute_progression", "2 x 10"),
        ("a1_holds_after", "10 to 20 seconds"),
        ("a1_pilates", "twice a week"),
        ("a2_bursitis_reduce", "30 to 50 %"),
        ("a2_band_reduce", "30 to 50 %"),
        ("a2_stress_fracture_rest", "6 to 8 weeks"),
        ("a2_run_tall", "90 degrees"),
        ("a4_movement_screen", "7 screens"),
        ("a4_clearance", "once a year"),
        ("a5_seated_twist", "8 to 10 breaths"),
        ("a5_low_lunge", "8 to 10 breaths"),
        ("a5_deep_squat", "8 to 10 breaths"),
        ("a5_knee_lift", "10 seconds, 3 x 10"),
    ],
)
def test_the_figures_of_the_articles_are_kept(advice: str, figures: str) -> None:
    assert figures in BY_ID[advice].numbers


def test_every_tier_has_a_safety_net_with_the_emergencies() -> None:
    chosen = _choose([{"tier": tier} for tier in tiers()])
    for sentences in chosen["safety_net"].to_list():
        together = " ".join(sentences)
        assert all(sign in together for sign in ("fever", "weight on the leg", "between the legs", "bladder"))
    assert len({tuple(sentences) for sentences in chosen["safety_net"].to_list()}) == len(tiers())


def test_conditions_of_every_urgent_rule_bring_protective_advice() -> None:
    rows = [{"danger": list(rule.condition), "tier": rule.tier} for rule in load_rules().rules if rule.tier]
    chosen = _choose(rows)
    for row, sentences in zip(rows, chosen["until_seen"].to_list(), strict=True):
        assert bool(sentences) or row["tier"] not in NO_SELF_CARE_TIERS


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_order_of_rows_and_the_number_of_them_change_nothing(data: st.DataObject) -> None:
    ids = st.lists(st.sampled_from(sorted(condition_ids())), max_size=5, unique=True)
    row = st.fixed_dictionaries(
        {
            "helps": ids,
            "danger": st.none() | ids,
            "tier": st.sampled_from(list(tiers())),
            "pregnant": st.none() | st.booleans(),
            "age": st.none() | st.integers(0, 100),
        }
    )
    rows = data.draw(st.lists(row, min_size=1, max_size=6))
    together = _choose(rows).rows()
    assert together == [_choose([one]).row(0) for one in rows]
    assert together[::-1] == _choose(rows[::-1]).rows()
    for one, (_, self_care, safety_net) in zip(rows, together, strict=True):
        assert safety_net and (not self_care or one["tier"] not in NO_SELF_CARE_TIERS)


def test_no_records_give_no_rows_and_a_missing_tier_is_refused() -> None:
    assert _choose([]).shape == (0, 3)
    with pytest.raises(ValueError, match="six tiers"):
        _choose([{"tier": None}])


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("advice.yaml", "helps: [cambered_roads]", "helps: [camber]", "['camber'] is not known"),
        ("advice.yaml", "harms_too: [sciatica]", "harms_too: [scatica]", "['scatica'] is not known"),
        ("advice.yaml", "  - tumour\n", "  - tumor\n", "['tumor'] is not known"),
        ("advice.yaml", "article: A1", "article: A9", "article"),
        ("advice.yaml", "id: a1_halve_impact", "id: a1_days_off", "stands twice"),
        ("advice.yaml", "never_publish: Taping", "never_print: Taping", "never_print"),
        ("advice.yaml", "when_tier: [emergency]", "when_tier: [now]", "['now'] is not known"),
        ("advice.yaml", "when_tier: [emergency]", "when_tier: []", "nothing ever gives it"),
        ("advice.yaml", 'text: "Consider: crutches', 'text: "Use crutches', "until_seen.1.text"),
        ("advice.yaml", "at_most: 6", "at_most: 0", "at_most"),
        ("safety_net.yaml", "  soon:", "  later:", "not exactly"),
        ("safety_net.yaml", "always:", "ever:", "always"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
    for file in ("advice.yaml", "safety_net.yaml"):
        shutil.copy(KNOWLEDGE / file, tmp_path / file)
    text = (tmp_path / name).read_text("utf-8")
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(AdviceError) as error:
        load_advice(tmp_path)
    assert name in str(error.value) and message in str(error.value)
