"""Every figure of an evaluation against a small example worked by hand, and what must hold for all."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.condition_groups import ConditionGroup, check_groups, condition_groups
from models.evaluation import decisions, estimates
from models.evaluation.by_condition import confusion, coverage_by_condition, coverage_by_group, set_figures
from models.evaluation.evaluate import MODEL, evaluate
from models.evaluation.reliability import reliability
from models.evaluation.scoring import scores, scores_with_intervals
from models.evaluation.subgroups import subgroups
from models.knowledge_files import KnowledgeError, condition_ids
from tests.evaluated import CLASSES, COSTS, arguments, draw, evaluation

Z2 = 1.959963984540054**2


def marks(hits: int, n: int) -> np.ndarray:
    return np.arange(n) < hits


# Textbook values of the score interval: 8 of 10 is 49.0 to 94.3 %; without hits the upper end is z2 / (n + z2).
@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (8, 10, 0.49016, 0.94332),
        (0, 30, 0.0, Z2 / (30 + Z2)),
        (30, 30, 30 / (30 + Z2), 1.0),
        (50, 100, 0.40383, 0.59617),
    ],
)
def test_wilson(hits: int, n: int, low: float, high: float) -> None:
    assert estimates.wilson(hits, n) == pytest.approx((low, high), abs=1e-5)


def test_too_few_records_give_no_figure() -> None:
    assert estimates.share(marks(10, 29)) is None
    assert estimates.mean(np.ones(29)) is None
    assert estimates.share(marks(10, 30)) == {"value": 0.333333, "low": 0.192305, "high": 0.512199, "n": 30}


def test_the_mean_has_a_normal_interval() -> None:
    # 50 ones and 50 zeros: standard deviation 0.502519, standard error a tenth of it.
    found = estimates.mean(np.tile([0.0, 1.0], 50))
    assert found is not None
    assert found["value"] == 0.5
    assert found["high"] == pytest.approx(0.5 + 1.96 * 0.0502519, abs=1e-5)


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({"a": 80, "b": 20}, {"a": 0.8, "b": 0.2}),
        ({"a": 100, "b": 0}, {"a": 1.0, "b": None}),  # nobody is hidden, so nothing else has to be
        ({"a": 80, "b": 12, "c": 8}, {"a": 0.8, "b": 0.12, "c": 0.08}),
        ({"a": 81, "b": 12, "c": 7}, {"a": 0.81, "b": None, "c": None}),  # 7 alone could be worked out
        ({"a": 92, "b": 4, "c": 4}, {"a": 0.92, "b": None, "c": None}),  # 8 hidden together
    ],
)
def test_small_cells_are_hidden_and_cannot_be_worked_out(counts: dict[str, int], shown: dict[str, Any]) -> None:
    assert estimates.shown_shares(counts) == shown


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_hidden_cells_hold_nobody_or_enough(counts: list[int]) -> None:
    named = {str(i): count for i, count in enumerate(counts)}
    shown = estimates.shown_shares(named)
    hidden = sum(count for name, count in named.items() if shown[name] is None)
    assert hidden == 0 or hidden >= estimates.LEAST_CELL or all(share is None for share in shown.values())
    assert all(named[name] >= estimates.LEAST_CELL for name, share in shown.items() if share is not None)


def test_net_benefit_by_hand() -> None:
    # 40 records, 10 ill; acting on 14, of whom 6 are ill, at a threshold of 20 %: 6/40 - 8/40 * 0.25 = 0.1.
    ill = marks(10, 40)
    acted = np.zeros(40, dtype=bool)
    acted[4:18] = True
    found = decisions.net_benefit(acted, ill, 0.2)
    assert found is not None
    assert found["value"] == 0.1
    spread = np.std([1] * 6 + [-0.25] * 8 + [0] * 26, ddof=1)
    assert found["low"] == pytest.approx(0.1 - 1.96 * spread / 40**0.5, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_curves_fall_and_treating_all_follows_its_formula(seed: int) -> None:
    probabilities, label = draw(200, np.full(5, 0.2), seed)
    acted_on = {"everybody": np.ones(200, dtype=bool), "nobody": np.zeros(200, dtype=bool)}
    curves = decisions.decision_curves(probabilities, label, CLASSES, COSTS, acted_on=acted_on)
    ill = {decisions.ANY: np.isin(label, [2, 4]), "septic_arthritis": label == 2, "tumour": label == 4}
    assert set(curves) == set(ill)
    for name, curve in curves.items():
        points = curve["curve"]
        for key in ("sensitivity", "over_triage"):
            values = [point[key]["value"] for point in points if point[key]]  # type: ignore[literal-required]
            assert values == sorted(values, reverse=True)
        for point in points:
            threshold, prevalence = point["threshold"], ill[name].mean()
            formula = prevalence - (1 - prevalence) * threshold / (1 - threshold)
            assert point["treat_all"]["value"] == pytest.approx(formula, abs=1e-4)  # the threshold has six places
            if name == decisions.ANY:
                assert point["policies"]["everybody"] == point["treat_all"]
                assert point["policies"]["nobody"]["value"] == 0


def test_the_chosen_threshold_is_that_of_the_cost_ratio() -> None:
    curve = evaluation()["decisions"]["tumour"]
    assert curve["chosen"] == 0.04  # 1 / (1 + 24)
    at = next(point for point in curve["curve"] if point["threshold"] == 0.04)
    assert (at["sensitivity"], at["over_triage"]) == (
        curve["at_chosen"]["sensitivity"],
        curve["at_chosen"]["over_triage"],
    )


def test_any_danger_is_acted_on_where_one_condition_reaches_its_own_threshold() -> None:
    # 40 ill people just above the threshold of tumour (4 %); of 60 healthy 15 above that of septic arthritis (2 %).
    probabilities = np.tile([0.9, 0.0, 0.01, 0.09, 0.0], (100, 1))
    probabilities[:40] = [0.9, 0.0, 0.0, 0.059, 0.041]
    probabilities[40:55] = [0.9, 0.0, 0.02, 0.08, 0.0]
    label = np.where(marks(40, 100), 4, 0)
    found = decisions.decision_curves(probabilities, label, CLASSES, COSTS, acted_on={})[decisions.ANY]["at_chosen"]
    assert found["sensitivity"]["value"] == 1.0
    assert found["over_triage"]["value"] == 0.25


def test_confusion_by_hand() -> None:
    # 40 of the first condition: 25 named rightly, 15 as the second. 35 of the second: 30 rightly, 5 as the third.
    label = np.repeat([0, 1, 2], [40, 35, 29])
    named = np.repeat([0, 1, 1, 2, 2], [25, 15, 30, 5, 29])
    rows = confusion(np.eye(3)[named], label, ("a", "b", "c"))
    assert rows["a"] is not None
    assert rows["a"]["shares"] == {"a": 0.625, "b": 0.375, "c": None}
    assert rows["a"]["named_right"] == estimates.share(marks(25, 40))
    # Five would be worked out from the thirty, so both are hidden, and with them how often the row was right.
    assert rows["b"] == {"n": 35, "named_right": None, "shares": {"a": None, "b": None, "c": None}}
    assert rows["c"] is None


def test_coverage_by_hand() -> None:
    label = np.repeat([0, 1], [50, 40])
    held = np.zeros((90, 3), dtype=bool)
    held[:45, 0] = True  # 45 of 50 held
    held[50:80, 1] = True  # 30 of 40 held
    held[:, 2] = True
    names = ("a", "b", "c")
    by_condition = coverage_by_condition(held, label, names)
    assert [by_condition[name]["covered"] and by_condition[name]["covered"]["value"] for name in names] == [
        0.9,
        0.75,
        None,
    ]
    assert by_condition["a"]["set_size"]["value"] == 1.9
    assert set_figures(held, label)["covered"]["value"] == pytest.approx(75 / 90, abs=1e-6)
    by_group = coverage_by_group(held, label, names, {"both": ["a", "b"], "none": ["c"]})
    assert by_group["both"] == set_figures(held, label)
    assert by_group["none"] == {"covered": None, "set_size": None}


def test_reliability_by_hand() -> None:
    predicted = np.repeat([0.05, 0.5, 0.95, 1.0], [40, 29, 20, 20])
    happened = np.concatenate([marks(2, 40), marks(10, 29), marks(20, 20), marks(18, 20)])
    first, middle, last = reliability(predicted, happened, (0.0, 0.5, 0.9, 1.0))
    assert (first["predicted"], first["observed"]) == (0.05, estimates.share(marks(2, 40)))
    assert (middle["predicted"], middle["observed"]) == (None, None)  # 29 records from 0.5 on
    assert (last["predicted"], last["observed"]) == (0.975, estimates.share(marks(38, 40)))  # 1 is inside


def test_scores_with_intervals_are_the_plain_scores() -> None:
    probabilities, label = draw(400, np.full(5, 0.2), 5)
    plain, found = scores(probabilities, label), scores_with_intervals(probabilities, label, probabilities)
    for name, value in plain.items():
        cell = found[name]  # type: ignore[literal-required]
        assert cell["value"] == pytest.approx(value, abs=1e-6)
        assert cell["low"] < value < cell["high"]
        assert cell["n"] == 400
    assert found["log_loss_above_model"] == {"value": 0.0, "low": 0.0, "high": 0.0, "n": 400}


def test_the_interval_of_the_slope_holds_what_other_samples_give() -> None:
    rng = np.random.default_rng(8)
    logs = rng.normal(size=(3000, 4)) * 2
    probabilities = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    label = (rng.random(3000)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    found = scores_with_intervals(probabilities, label, probabilities)["calibration_slope"]
    assert found["low"] < 1 < found["high"]
    halves = [scores(probabilities[own::2], label[own::2])["calibration_slope"] for own in (0, 1)]
    assert abs(halves[0] - halves[1]) < 4 * (found["high"] - found["low"])
    assert found["high"] - found["low"] < 0.2


def test_a_table_without_differences_has_no_slope() -> None:
    flat = np.full((50, 4), 0.25)
    assert scores_with_intervals(flat, np.zeros(50, dtype=np.int64), flat)["calibration_slope"] is None


def test_tiers_by_hand() -> None:
    # 30 septic: 20 same day, 10 soon; 30 tumours: all urgent; 40 hernias: 12 emergency, 28 routine.
    label = np.repeat([2, 4, 0], [30, 30, 40])
    given_tiers = np.repeat(["same_day", "soon", "urgent", "emergency", "routine"], [20, 10, 30, 12, 28])
    found = decisions.tier_figures(given_tiers, label, CLASSES, tuple(COSTS))
    urgent = {name: cell["value"] for name, cell in found["urgent_or_faster"].items()}
    assert urgent == {
        decisions.ANY: pytest.approx(50 / 60, abs=1e-6),
        "septic_arthritis": pytest.approx(20 / 30, abs=1e-6),
        "tumour": 1.0,
        decisions.HARMLESS: 0.3,
    }
    assert found["same_day_or_faster"]["tumour"]["value"] == 0.0
    assert found["distribution"]["urgent"] == 0.3
    assert found["distribution"]["self_care"] is None
    with pytest.raises(ValueError, match="not a tier: \\['whenever'\\]"):
        decisions.at_or_faster(np.array(["urgent", "whenever"]), "urgent")


def test_subgroups_hide_small_ones_and_name_what_is_blank() -> None:
    probabilities, label = draw(100, np.full(5, 0.2), 6)
    sex = np.repeat(np.array(["female", "male", "", None], dtype=object), [50, 29, 10, 11])
    is_ill = np.isin(label, [2, 4])
    found = subgroups(probabilities, label, {"sex": sex}, dangerous=is_ill, urgent=is_ill)["sex"]
    assert set(found) == {"female", "male", "not stated"}
    assert found["male"] is None
    assert found["not stated"] is None
    women = found["female"]
    assert women["n"] == 50
    assert women["log_loss"]["value"] == pytest.approx(scores(probabilities[:50], label[:50])["log_loss"], abs=1e-6)
    assert women["sensitivity"] is None  # fewer than 30 ill women
    assert women["over_triage"] is None or women["over_triage"]["value"] == 0


def test_no_cell_of_a_whole_evaluation_is_small() -> None:
    found: list[int] = []

    def look(part: Any) -> None:
        for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            look(value)
        if isinstance(part, dict) and "low" in part and "value" in part and part["n"] is not None:
            found.append(part["n"])
            assert part["low"] <= part["value"] <= part["high"]

    look(evaluation())
    assert len(found) > 300
    assert min(found) >= estimates.LEAST_RECORDS
    assert evaluation()["subgroups"]["clinic"]["island"] is None


def test_single_conditions_are_judged_on_the_even_sample() -> None:
    found = evaluation()
    assert found["by_condition_n"] == 500
    assert sum(row["n"] for row in found["confusion"].values()) == 500
    assert found["decisions"]["tumour"]["at_chosen"]["sensitivity"]["n"] == found["confusion"]["tumour"]["n"]
    assert found["coverage"]["overall"]["covered"]["n"] == found["scores"][MODEL]["log_loss"]["n"] == 1200
    assert found["worlds"]["blend"] == {
        "by_world": {
            "thin_forms": {"value": 1.0, "low": None, "high": None, "n": None},
            "all_at_once": {"value": 1.2, "low": None, "high": None, "n": None},
        },
        "mean": 1.1,
        "worst": 1.2,
    }


def test_an_evaluation_is_the_same_again_and_goes_through_json() -> None:
    again = evaluate(**arguments())
    assert json.loads(json.dumps(again, allow_nan=False)) == evaluation()


@pytest.mark.parametrize("part", ["held", "baselines", "tiers", "groups"])
def test_columns_of_another_length_are_refused(part: str) -> None:
    wrong = arguments()
    wrong[part] = wrong[part][1:] if part == "held" else {"short": next(iter(wrong[part].values()))[1:]}
    with pytest.raises(ValueError, match="not one value for each of 1200 records"):
        evaluate(**wrong)


def test_each_condition_of_the_catalogue_is_in_one_group() -> None:
    groups = condition_groups()
    assert sorted(name for group in groups.values() for name in group.conditions) == sorted(condition_ids())
    assert set(groups) == {"dangerous", "bone", "tendon_and_muscle", "joint", "nerve", "other"}


@pytest.mark.parametrize(
    ("conditions", "named"),
    [(("a",), "b"), (("a", "b", "x"), "x"), (("a", "b", "b"), "b")],
    ids=["missing", "odd", "twice"],
)
def test_a_grouping_that_does_not_fit_the_catalogue_is_refused(conditions: tuple[str, ...], named: str) -> None:
    with pytest.raises(KnowledgeError, match=f"look at \\['{named}'\\]"):
        check_groups({"all": ConditionGroup(title="all", conditions=conditions)}, frozenset("ab"))
