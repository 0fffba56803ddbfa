"""The rules' engine: three values, prepared answers, tiers, strict files, and what must hold for any record."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.catalogue import load_catalogue
from models.cohort import generate
from models.knowledge_files import KnowledgeError
from models.rule_facts import facts_from, load_facts
from models.rule_files import RULES_FOLDER
from models.rule_language import Not, parse, walk
from models.rules import (
    CANNOT_TELL,
    RulesError,
    RuleSet,
    evaluate,
    load_rules,
    raise_one_tier,
    rule_conditions,
    rule_tiers,
)
from schemas.form import NONE_OF_THESE, answer_columns, questions
from schemas.tiers import tiers
from tests.rule_frames import DTYPES, frame_of

RANK = {tier: index for index, tier in enumerate(tiers())} | {None: len(tiers())}


def _tiers(frame: pl.DataFrame, ruleset: RuleSet | None = None) -> pl.DataFrame:
    rules = ruleset or load_rules()
    return rule_tiers(evaluate(frame, rules), rules, frame)


# --- three values -----------------------------------------------------------------------------------------------

T, F, N = True, False, None
KLEENE: list[tuple[dict[str, Any], list[bool | None]]] = [
    ({"any": [{"column": "rest_pain"}, {"column": "night_pain"}]}, [T, T, T, T, F, N, T, N, N]),
    ({"all": [{"column": "rest_pain"}, {"column": "night_pain"}]}, [T, F, N, F, F, F, N, F, N]),
    ({"at_least": 2, "of": [{"column": "rest_pain"}, {"column": "night_pain"}]}, [T, F, N, F, F, F, N, F, N]),
    ({"not": {"column": "rest_pain"}}, [F, F, F, T, T, T, N, N, N]),
    ({"always": True}, [T] * 9),
]


@pytest.mark.parametrize(("raw", "expected"), KLEENE)
def test_conjuncts_have_three_values(raw: dict[str, Any], expected: list[bool | None]) -> None:
    rest, night = [T] * 3 + [F] * 3 + [N] * 3, [T, F, N] * 3
    frame = pl.DataFrame(
        {"rest_pain": pl.Series(rest, dtype=pl.Boolean), "night_pain": pl.Series(night, dtype=pl.Boolean)}
    )
    truth = frame.with_columns(parse(raw, "here", {}).expression().alias("truth"))
    assert truth["truth"].to_list() == expected


@pytest.mark.parametrize(
    ("raw", "column", "answers", "expected"),
    [
        ({"column": "weight_bearing", "is": ["limp", "aid"]}, "weight_bearing", ["limp", "normal", None], [T, F, N]),
        ({"column": "age_years", "at_least": 8, "below": 17}, "age_years", [8, 16, 17, 7, None], [T, T, F, F, N]),
        ({"column": "wbc_10e9_l", "above": 12}, "wbc_10e9_l", [12.0, 12.1, None], [F, T, N]),
        ({"column": "duration_weeks", "at_most": 2}, "duration_weeks", [2.0, 2.1, None], [T, F, N]),
    ],
)
def test_choices_and_numbers(raw: dict[str, Any], column: str, answers: list[Any], expected: list[bool | None]) -> None:
    frame = pl.DataFrame({column: answers}, schema={column: DTYPES[questions()[column].type]})
    assert frame.select(parse(raw, "here", {}).expression().alias("x"))["x"].to_list() == expected


# --- prepared answers -------------------------------------------------------------------------------------------

PREPARED: list[tuple[dict[str, Any], str, Any]] = [
    ({"systemic__none_of_these": 1}, "systemic__fever", F),
    ({"systemic__none_of_these": 0}, "systemic__fever", N),
    ({"systemic__none_of_these": 1, "systemic__fever": 1}, "systemic__fever", T),
    ({"systemic__none_of_these": 1, "systemic__fever": 1}, "systemic__unwell", N),  # contradicted: clears nothing
    ({"neuro__none_of_these": 1}, "systemic__fever", N),
    ({"mechanism__fall": 1, "history__recent_fall": 0}, "history__recent_fall", T),
    ({"history__recent_fall": 0}, "mechanism__fall", F),
    ({"history__hip_implant": 1, "history__prior_hip_surgery": 0}, "history__prior_hip_surgery", T),
    ({"history__prior_hip_surgery": 1}, "history__hip_implant", N),
    ({"history__hip_implant": 0}, "history__prior_hip_surgery", N),
    ({"history__pregnant": 1}, "history__possible_pregnancy", T),
    ({"wellbeing__poor_sleep": 1}, "night_pain", N),
    ({"local__lump_over_5cm": 1, "local__lump": 0}, "local__lump", T),
    ({"neuro__weakness_worsening": 1}, "neuro__leg_weakness", T),
    ({"temperature_c": 37.0}, "systemic__fever", F),
    ({"temperature_c": 37.0, "medicine__painkiller_today": 1}, "systemic__fever", N),
    ({"temperature_c": 37.0, "medicine__painkiller_today": 0}, "systemic__fever", F),
    ({"temperature_c": 37.0, "systemic__fever": 1}, "systemic__fever", T),
    ({"temperature_c": 38.0, "medicine__painkiller_today": 1}, "systemic__fever", T),
    ({"temperature_c": 38.4, "systemic__fever": 0}, "systemic__fever", T),
    ({"temperature_c": 38.4, "systemic__none_of_these": 1}, "systemic__fever", T),
    ({"temperature_c": 37.7}, "systemic__fever", N),
    ({"crp_mg_l": 3}, "lab__raised_crp_esr", F),
    ({"crp_mg_l": 15}, "lab__raised_crp_esr", N),
    ({"crp_mg_l": 20, "lab__raised_crp_esr": 0}, "lab__raised_crp_esr", T),
    ({"crp_mg_l": 3, "esr_mm_h": 60}, "lab__raised_crp_esr", T),
    ({"crp_mg_l": 3, "esr_mm_h": 30}, "lab__raised_crp_esr", N),
    ({"wbc_10e9_l": 12}, "lab__raised_wbc", N),
    ({"wbc_10e9_l": 13}, "lab__raised_wbc", T),
    ({"wbc_10e9_l": 7}, "lab__raised_wbc", F),
    ({"weekly_km": 60, "weekly_km_4_weeks_ago": 40}, "training__mileage_increase", T),
    ({"weekly_km": 42, "weekly_km_4_weeks_ago": 40}, "training__mileage_increase", N),
    ({"weekly_km": 42, "weekly_km_4_weeks_ago": 0}, "training__mileage_increase", N),
    ({"pain_behaviour": "constant", "behaviour__constant": 0}, "behaviour__constant", T),
    ({"pain_behaviour": "worse_the_longer_running"}, "behaviour__worse_the_longer_running", T),
    ({"pain_behaviour": "intermittent"}, "behaviour__constant", N),
    ({"weight_bearing": "normal"}, "exam__antalgic_gait", F),
    ({"weight_bearing": "normal", "exam__antalgic_gait": 1}, "exam__antalgic_gait", T),
    ({"weight_bearing": "limp"}, "exam__antalgic_gait", N),
    ({"exam__antalgic_gait": 1}, "weight_bearing", N),  # at least a limp; whether worse is not known
]


def test_answers_are_prepared() -> None:
    frame = facts_from(frame_of([answers for answers, _, _ in PREPARED]))
    found = [frame[column][place] for place, (_, column, _) in enumerate(PREPARED)]
    assert found == [expected for _, _, expected in PREPARED]


def test_preparing_tolerates_missing_and_foreign_columns_and_keeps_every_row() -> None:
    frame = pl.DataFrame({"record_id": ["a", "b"], "temperature_c": [float("nan"), 39.0]})
    ready = facts_from(frame)
    assert set(ready.columns) == {*answer_columns(), "bmi"}
    assert ready["systemic__fever"].to_list() == [None, True]
    assert facts_from(pl.DataFrame({"record_id": ["a", "b"]})).height == 2
    assert facts_from(frame.clear()).height == 0


# --- tiers ------------------------------------------------------------------------------------------------------

GROIN_ON_LOAD = {"pain_site__groin": 1, "aggravated__running": 1}
WEAK_LEG = {"neuro__leg_weakness": 1, "neuro__numb_leg": 1, "pain_site__low_back": 1}
WEAK_LEG |= dict.fromkeys(
    ["neuro__bladder_bowel", "neuro__saddle_numbness", "neuro__both_legs", "neuro__sexual_function"], 0
)
IMPLANT = {"history__hip_implant": 1, "systemic__none_of_these": 1, "duration_weeks": 90, "onset": "gradual"}
TIERS: list[tuple[dict[str, Any], str | None, str | None, float | None]] = [
    ({}, None, None, None),
    ({"pain_site__groin": 1}, None, None, None),  # weak single facts raise nothing
    ({"runner_level": "elite"}, None, None, None),
    ({"neuro__numb_leg": 1}, None, None, None),
    ({"history__cancer": 1}, "urgent", "cord_compression", 336),
    ({"systemic__fever": 1, "age_years": 40}, "urgent", "septic_arthritis_signs", 336),
    ({"weight_bearing": "cannot", "runner_level": "elite"}, "same_day", None, 24),
    ({"systemic__fever": 1, "weight_bearing": "limp", "rest_pain": 1}, "same_day", None, 24),
    ({"age_years": 9}, "urgent", None, 336),
    ({"age_years": 9, "weight_bearing": "limp"}, "same_day", None, 24),
    ({"age_years": 9, "exam__antalgic_gait": 1, "weight_bearing": "normal"}, "same_day", None, 24),
    ({"age_years": 17}, "routine", None, 3024),
    ({"age_years": 40, "screen__testicular_pain": 1, "sex": "female"}, "emergency", None, 0),
    ({"screen__testicular_pain": 1, "sex": "other"}, "emergency", None, 0),
    ({"screen__other_joints": 1, "morning_stiffness_min": 60}, "urgent", None, 72),
    (
        {"runner_level": "elite", "pain_site__groin": 1, "aggravated__running": 1, "training__race_build": 1},
        "urgent",
        None,
        72,
    ),
    ({"history__failed_treatment": 1, "history__failed_rest": 1}, "soon", None, 1008),
    # no broader than the published criteria
    ({"history__diabetes": 1}, None, None, None),  # a risk of infection without any sign
    ({"pain_site__pubic": 1, "aggravated__running": 1, "history__low_bone_density": 1}, None, None, None),
    ({"pain_site__pubic": 1, "aggravated__running": 1, "history__prior_stress_fracture": 1}, "urgent", None, 336),
    ({"mechanical__pop_at_onset": 1, "local__bruising": 1, "pain_site__lateral_hip": 1}, None, None, None),
    ({"mechanical__pop_at_onset": 1, "local__palpable_gap": 1, "pain_site__lateral_hip": 1}, "urgent", None, 168),
    ({**WEAK_LEG, "course": "stable"}, "soon", None, 1008),
    ({**WEAK_LEG, "course": "progressive"}, "urgent", None, 336),
    ({**WEAK_LEG, "neuro__weakness_worsening": 1}, "same_day", None, 24),
    ({**IMPLANT, "weight_bearing": "limp"}, None, None, None),
    ({**IMPLANT, "weight_bearing": "aid"}, "same_day", None, 24),
    ({**IMPLANT, "weight_bearing": "limp", "duration_weeks": 3}, "same_day", None, 24),
    ({"runner_level": "elite", "sex": "female", "weekly_km": 90, **GROIN_ON_LOAD}, None, None, None),  # no bone risk
]


def test_tiers_by_rules() -> None:
    got = _tiers(frame_of([answers for answers, *_ in TIERS]))
    found = got.select("tier", "cannot_tell_raised", "clock_hours").rows()
    assert found == [(tier, rule, hours) for _, tier, rule, hours in TIERS]


def test_two_core_conjuncts_in_doubt_give_same_day_and_one_urgent() -> None:
    two, one = {"history__prior_hip_surgery": 1, "systemic__fever": 1}, {"history__prior_hip_surgery": 1}
    rules = load_rules()
    picked = RuleSet(tuple(r for r in rules.rules if r.id == "septic_arthritis_signs"), rules.facts, "test")
    both = {"systemic__fever": 1, "weight_bearing": "limp", "rest_pain": 1}
    got = _tiers(frame_of([both, {"systemic__fever": 1}, {**both, "duration_weeks": 9}]), picked)
    assert got["tier"].to_list() == ["same_day", "urgent", None]
    assert got["cannot_tell_raised"].to_list() == ["septic_arthritis_signs", "septic_arthritis_signs", None]
    assert _tiers(frame_of([two, one]))["tier"].to_list() == ["emergency", "urgent"]


def test_doubt_raises_at_most_one_generated_record_in_ten() -> None:
    records = generate(load_catalogue(), 4000, seed=11).records
    raised = _tiers(records)["cannot_tell_raised"].is_not_null()
    assert 0 < raised.mean() <= 0.10  # type: ignore[operator]


def test_basis_names_fired_rules_most_urgent_first() -> None:
    got = _tiers(frame_of([{"neuro__bladder_bowel": 1, "history__failed_rest": 1, "local__leg_swelling": 1}]))
    assert got["basis"][0].to_list() == ["cauda_equina", "deep_vein_thrombosis", "no_better_after_rest"]


def test_low_energy_raises_one_tier_once_and_not_above_urgent() -> None:
    got = _tiers(frame_of([{"history__low_energy_availability": 1, "pain_site__groin": 1}, {}]))
    assert got["raised_by"].to_list() == ["low_energy_bone_pain", None]
    before = pl.Series("tier", [*tiers(), None, "routine", "routine"], dtype=pl.String)
    raised = pl.Series([True] * 7 + [False, None])
    after = ["emergency", "same_day", "urgent", "urgent", "soon", "routine", None, "routine", "routine"]
    assert raise_one_tier(before, raised).to_list() == after


def test_conditions_of_fired_rules() -> None:
    basis = pl.Series([["cauda_equina", "infectious_bursitis"], [], ["tendon_avulsion", "hernia_hard_lump"]])
    about = {rule.id: set(rule.condition) for rule in load_rules().rules}
    assert [set(found.to_list()) for found in rule_conditions(basis, load_rules())] == [
        about["cauda_equina"] | about["infectious_bursitis"],
        set(),
        about["tendon_avulsion"] | about["hernia_hard_lump"],
    ]


def test_results_of_other_records_are_refused() -> None:
    with pytest.raises(ValueError, match="1 records for 2"):
        rule_tiers(evaluate(frame_of([{}]), load_rules()), load_rules(), frame_of([{}, {}]))


def test_no_records_give_no_rows() -> None:
    got = _tiers(frame_of([]))
    assert got.height == 0 and got.schema["basis"] == pl.List(pl.String) and got.schema["clock_hours"] == pl.Float64


# --- what must hold for any record ------------------------------------------------------------------------------

NEGATED = {
    column
    for rule in load_rules().rules
    for conjunct in rule.conjuncts
    for part in walk(conjunct)
    if isinstance(part, Not)
    for column in part.columns()
}
YESNO = [c for c in answer_columns() if questions()[c].type == "yesno"]
FINDINGS = [c for c in YESNO if c not in NEGATED and not c.endswith(NONE_OF_THESE)]
SEEDS = st.integers(0, 2**32 - 1)


def _some_records(seed: int, n: int = 250) -> pl.DataFrame:
    """Records with a few findings, some absences, and many blanks, so that every tier occurs."""
    rng = np.random.default_rng(seed)
    columns = {}
    for column in answer_columns():
        question, blank = questions()[column], rng.random(n) < 0.55
        if question.type == "yesno":
            answers: Any = rng.random(n) < 0.06
        elif question.type == "choice":
            answers = rng.choice(np.array(question.choices), n)
        else:
            low, high = question.plausible_range or question.allowed_range or (0.0, 1.0)
            answers = np.round(rng.uniform(low, high, n))
        values = pl.Series(answers).cast(DTYPES[question.type])
        columns[column] = pl.select(pl.when(pl.Series(~blank)).then(values)).to_series()
    return pl.DataFrame(columns)


def _change_one(
    frame: pl.DataFrame, seed: int, columns: list[str], new: bool | None, old: tuple[Any, ...]
) -> pl.DataFrame:
    """``frame`` with one randomly chosen column a record set to ``new`` where it holds one of ``old``."""
    rng = np.random.default_rng(seed)
    chosen = pl.Series(rng.choice(np.array(columns), frame.height))
    return frame.with_columns(
        pl.when((chosen == c) & pl.col(c).eq_missing(old[0]) | (chosen == c) & pl.col(c).eq_missing(old[-1]))
        .then(pl.lit(new, dtype=pl.Boolean))
        .otherwise(pl.col(c))
        .alias(c)
        for c in columns
    )


def _assert_no_less_urgent(before: pl.DataFrame, *changed: pl.DataFrame) -> None:
    """Each of ``changed`` against ``before``; all are evaluated together, because each call has a cost of its own."""
    together = _tiers(pl.concat([before, *changed]))
    old, *later = (together.slice(place * before.height, before.height) for place in range(1 + len(changed)))
    for new in later:
        for a, b in zip(old["tier"], new["tier"], strict=True):
            assert RANK[b] <= RANK[a]
        sooner = new["clock_hours"].fill_null(float("inf")) <= old["clock_hours"].fill_null(float("inf"))
        assert sooner.all()
        assert (new["raised_by"].is_not_null() | old["raised_by"].is_null()).all()


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_adding_a_finding_never_makes_a_record_less_urgent(seed: int) -> None:
    frame = _some_records(seed)
    _assert_no_less_urgent(frame, _change_one(frame, seed + 1, FINDINGS, True, (None, False)))


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_a_blank_never_reassures(seed: int) -> None:
    frame = _some_records(seed)
    asked = [c for c in YESNO if c not in NEGATED]
    none_of = [c for c in YESNO if c.endswith(NONE_OF_THESE)]
    walks = pl.when(pl.col("weight_bearing") != "normal").then("weight_bearing").alias("weight_bearing")
    _assert_no_less_urgent(
        frame,
        _change_one(frame, seed + 1, asked, None, (False, False)),
        _change_one(frame, seed + 2, none_of, None, (True, True)),
        frame.with_columns(walks),
    )


def test_each_finding_alone_never_makes_a_record_less_urgent() -> None:
    base = _some_records(7, 12)
    _assert_no_less_urgent(base, *(base.with_columns(pl.lit(True).alias(column)) for column in FINDINGS))


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_every_fired_rule_is_respected_and_every_doubt_named(seed: int) -> None:
    frame, rules = _some_records(seed), load_rules()
    results = evaluate(frame, rules)
    got = rule_tiers(results, rules, frame)
    rank = got["tier"].replace_strict(RANK, default=len(tiers()), return_dtype=pl.Int64)
    for rule in rules.rules:
        fired = results.status[rule.id] == "yes"
        if rule.tier is not None:
            assert (rank.filter(fired) <= RANK[rule.tier]).all()
        in_doubt = results.status[rule.id] == CANNOT_TELL
        assert (results.missing[rule.id].list.len().filter(~in_doubt) == 0).all()
        if rule.tier == "emergency":
            least = (results.core_true[rule.id] >= 2).cast(pl.Int64) * -1 + RANK["urgent"]
            assert (rank.filter(in_doubt) <= least.filter(in_doubt)).all()


@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_order_of_columns_and_rows_changes_nothing(seed: int) -> None:
    frame = _some_records(seed, 60)
    order = np.random.default_rng(seed).permutation(frame.height)
    turned = frame.select(frame.columns[::-1])[order]
    straight, shuffled = evaluate(frame, load_rules()), evaluate(turned, load_rules())
    for name in ("status", "core_true", "missing"):
        assert_frame_equal(getattr(straight, name)[order], getattr(shuffled, name))
    assert_frame_equal(_tiers(frame)[order], _tiers(turned))


# --- strict files -----------------------------------------------------------------------------------------------

GOOD = """
- id: a_rule
  row: null
  text: "Meets a criterion."
  core: [{column: rest_pain}]
  tier: urgent
  destination: somewhere
  first_imaging: none
  source: "a source"
  signed_by: null
  signed_on: null
  condition: [tumour]
  note: ""
"""


def _folder(tmp_path: Path, text: str) -> Path:
    shutil.copy(RULES_FOLDER / "facts.yaml", tmp_path / "facts.yaml")
    (tmp_path / "mine.yaml").write_text(text, "utf-8")
    return tmp_path


def test_a_good_file_loads_and_its_version_follows_its_bytes(tmp_path: Path) -> None:
    first = load_rules(_folder(tmp_path, GOOD))
    assert [rule.id for rule in first.rules] == ["a_rule"] and len(first.version) == 12
    assert load_rules(_folder(tmp_path, GOOD + "\n")).version != first.version
    assert _tiers(frame_of([{"rest_pain": 1}, {}]), first)["tier"].to_list() == ["urgent", None]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rest_pain}", "rest_pian}", "rule a_rule: core[0]: the form has no answer column 'rest_pian'"),
        ("{column: rest_pain}", "{column: rest_pain, is: [1]}", "takes nothing beside its name"),
        ("{column: rest_pain}", "{column: weight_bearing}", "needs is: [answers]"),
        ("{column: rest_pain}", "{column: weight_bearing, is: [hops]}", "has no answer ['hops']"),
        ("{column: rest_pain}", "{column: age_years}", "needs one or more of"),
        ("{column: rest_pain}", "{column: age_years, below: 900}", "a number that the form can read"),
        ("{column: rest_pain}", "{column: submitted_at}", "no answer column 'submitted_at'"),
        ("{column: rest_pain}", "{fact: feaver}", "no fact 'feaver'"),
        ("{column: rest_pain}", "{any: []}", "take a list of conjuncts"),
        ("{column: rest_pain}", "{at_least: 3, of: [{column: rest_pain}]}", "a whole number from 1 to 1"),
        ("{column: rest_pain}", "{either: [{column: rest_pain}]}", "no conjunct has the keys ['either']"),
        ("{column: rest_pain}", "{not: {column: rest_pain}}", "may not depend on the absence of a finding"),
        ("{column: rest_pain}", "{always: true}", "the rule asks nothing"),
        ("[{column: rest_pain}]", "[]", "needs at least one core conjunct"),
        ("tier: urgent", "tier: quick", "'quick' is no tier"),
        ("tier: urgent", "raises_one_tier: false", "either a tier or raises_one_tier"),
        ("tier: urgent", "tier: urgent\n  clock_hours: 0", "must be above 0"),
        ("[tumour]", "[tumor]", "the catalogue has no ['tumor']"),
        ("signed_by: null", "signed_by: A Clinician", "a signature has a name and a date"),
        ("source: ", "sauce: ", "mine.yaml: rule a_rule: source"),
        ('note: ""', 'note: ""\n  note: "twice"', "the key 'note' stands twice"),
        ("- id: a_rule", "- id: A rule", "id: String should match"),
        ("- id: a_rule", GOOD.strip() + "\n- id: a_rule", "rule a_rule: id: stands twice"),
        (GOOD, "rules: none", "mine.yaml: the file is a list of rules"),
        (GOOD, "[", "mine.yaml: not valid YAML"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(RulesError) as error:
        load_rules(_folder(tmp_path, GOOD.replace(old, new, 1)))
    assert (message in str(error.value) and "mine.yaml" in str(error.value)) or "stands twice" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("how: implies", "how: maybe", "same_fact"),
        (
            "- {column: wellbeing__poor_sleep, with: night_pain",
            "- {column: wellbeing__poor_sleep, with: rest_pain",
            "not the pairs",
        ),
        ("stands_for: systemic__fever", "stands_for: systemic__fewer", "'systemic__fewer'"),
        ("answer: normal, clears", "answer: fine, clears", "no answer 'fine'"),
        ("    ask: [systemic__unwell]\n", "    ask: [rest_pain]\n", "would not settle it"),
    ],
)
def test_bad_facts_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (RULES_FOLDER / "facts.yaml").read_text("utf-8")
    assert old in text
    (tmp_path / "facts.yaml").write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(KnowledgeError, match=r"facts\.yaml") as error:
        load_facts(tmp_path / "facts.yaml")
    assert message in str(error.value)


def test_nobody_is_asked_to_hop_and_every_rule_is_unsigned_and_sourced() -> None:
    for rule in load_rules().rules:
        assert rule.source and rule.signed_by is None and rule.signed_on is None
        for conjunct in rule.conjuncts:
            assert not {"exam__hop", "exam__fulcrum"} & {*conjunct.ask(), *conjunct.askable()}
