"""What the answer to a question is expected to change, and whom it may be put to."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.asked_of_whom import applies, asked_of_whom
from models.basis import Basis
from models.differential import readings
from models.expected_change import LEAST_CHANGE, _shares, expected_changes
from models.features import feature_matrix
from models.priority import Judged
from schemas.form import questions
from tests.referral_records import basis, mixed, records_of, scored

CLASSES = tuple(sorted(basis().catalogue.conditions))
DANGEROUS = tuple(number for number, name in enumerate(CLASSES) if name in basis().costs.conditions)


def judged(chance: np.ndarray, times: float = 1.0) -> Judged:
    """One record of which the model gives these probabilities; dangers are read ``times`` as high in odds."""
    probabilities = chance[None]
    odds = times * probabilities[:, list(DANGEROUS)] / (1 - probabilities[:, list(DANGEROUS)])
    danger, nobody = odds / (1 + odds), np.zeros(1, dtype=np.bool_)
    return Judged(
        classes=CLASSES,
        probabilities=probabilities,
        held=probabilities > 0.1,
        dangerous=DANGEROUS,
        danger=danger,
        suspected=danger > 0.1,
        plain=probabilities.argmax(axis=1),
        too_thin=nobody,
        unlike=nobody,
    )


def asked(answers: dict[str, object], by: Judged, tier: str = "routine") -> pl.DataFrame:
    records = records_of([answers])
    return expected_changes(records, feature_matrix(records), by, pl.Series([tier]), basis())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=27, max_size=27))
def test_the_expected_change_is_that_of_bayes_rule(weights: list[float]) -> None:
    chance = np.array(weights) / sum(weights)
    columns, shares = _shares()
    told = asked({"age_years": 40}, judged(chance))
    for row in told.iter_rows(named=True):
        share = shares[:, columns.index(row["column"])]
        present = chance @ share
        if_yes, if_no = chance * share / present, chance * (1 - share) / (1 - present)
        moved = present * np.abs(if_yes - chance) + (1 - present) * np.abs(if_no - chance)
        assert row["change"] == pytest.approx(moved[list(DANGEROUS)].sum())
        costs = [basis().costs.conditions[CLASSES[place]] for place in DANGEROUS]
        raises = [
            if_yes[place] >= max(cost.raise_from, chance[place] + 1e-12)
            for place, cost in zip(DANGEROUS, costs, strict=True)
        ]
        assert row["chance"] == pytest.approx(present if any(raises) else 0.0)
        named = [basis().catalogue.conditions[CLASSES[place]].name for place in DANGEROUS]
        raising = [name.partition(" (")[0].lower() for name, does in zip(named, raises, strict=True) if does]
        if raising:
            assert any(name in row["why"].lower() for name in raising)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=27, max_size=27), st.floats(0.2, 20))
def test_a_cautious_reading_stays_a_probability(weights: list[float], times: float) -> None:
    told = asked({"age_years": 40}, judged(np.array(weights) / sum(weights), times))
    assert told["chance"].is_between(0, 1).all() and told["change"].is_between(0, len(DANGEROUS)).all()


def test_a_yes_moves_the_named_danger_up() -> None:
    """By the model itself: the answer given to the question that is said to raise the tier."""
    records = mixed(150, 14).with_columns(pl.lit(35, pl.Int32).alias("age_years"))
    rows, dangers = scored(records), dangers_of(records)
    names = {basis().catalogue.conditions[CLASSES[p]].name.partition(" (")[0].lower(): p for p in DANGEROUS}
    rose = []
    for number, asked_of in enumerate(rows["questions_to_ask"].to_list()):
        for question in (q for q in asked_of if q["why"].startswith("a yes could raise the tier, for ")):
            named = question["why"].removeprefix("a yes could raise the tier, for ").lower()
            yes = records[number].with_columns(pl.lit(True).alias(question["column"]))
            column = DANGEROUS.index(names[named])
            rose.append(dangers_of(yes)[0, column] > dangers[number, column])
    assert len(rose) > 10 and np.mean(rose) > 0.9


def dangers_of(records: pl.DataFrame) -> np.ndarray:
    model = basis().model
    assert model is not None
    return readings(model.estimator, feature_matrix(records)).cautious[:, list(DANGEROUS)]


def test_only_what_is_worth_a_call_is_asked() -> None:
    sure = np.full(27, 1e-6)
    sure[CLASSES.index("osteoarthritis")] = 1 - 26e-6
    assert asked({"age_years": 40}, judged(sure)).is_empty()
    even = np.full(27, 1 / 27)
    told = asked({"age_years": 40}, judged(even))
    assert told.height == 5 and told["change"].min() >= LEAST_CHANGE


def test_nothing_is_asked_that_is_stated_or_that_a_runner_cannot_tell() -> None:
    even = np.full(27, 1 / 27)
    first = asked({"age_years": 40}, judged(even))["column"].to_list()
    again = asked({"age_years": 40, first[0]: 0}, judged(even))["column"].to_list()
    assert first[0] not in again and first[1] in again
    for column in _shares()[0]:
        assert (questions()[column].ask, questions()[column].asked_of) == ("ask", "runner")


def test_what_would_raise_the_tier_comes_first() -> None:
    told = asked({"age_years": 40}, judged(np.full(27, 1 / 27)), tier="routine")
    assert told["chance"].to_list() == sorted(told["chance"], reverse=True)
    assert told["why"][0].startswith("a yes could raise the tier, for ")
    already = asked({"age_years": 40}, judged(np.full(27, 1 / 27)), tier="same_day")
    assert (already["chance"] == 0).all() and already["why"].str.contains("which is not excluded").all()
    assert asked({"age_years": 40}, judged(np.full(27, 1 / 27)), tier="emergency").is_empty()


def test_without_a_model_nothing_is_asked_on_its_account() -> None:
    alone = Basis(basis().catalogue, basis().rules, basis().advice, basis().costs, None, "suspended")
    records = records_of([{"age_years": 40}])
    by = judged(np.full(27, 1 / 27))
    assert expected_changes(records, feature_matrix(records), by, pl.Series(["soon"]), alone).is_empty()


def test_questions_are_put_to_the_people_they_are_for() -> None:
    records = mixed(600, 8)
    rows = scored(records)
    limits = asked_of_whom()
    put = 0
    for row, person in zip(rows.iter_rows(named=True), records.iter_rows(named=True), strict=True):
        for question in row["questions_to_ask"]:
            column = question["column"]
            if column in limits.only_sex and person["sex"] in ("female", "male"):
                assert person["sex"] == limits.only_sex[column]
            if column in limits.only_age and person["age_years"] is not None:
                low, high = limits.only_age[column]
                assert low <= person["age_years"] <= high
            put += column in limits.only_sex
    assert put > 0


@pytest.mark.parametrize("sex", ["other", None])
def test_a_blank_or_other_sex_removes_no_question(sex: str | None) -> None:
    frame = pl.DataFrame({"sex": [sex], "age_years": [30]}, schema={"sex": pl.String, "age_years": pl.Int32})
    for column in asked_of_whom().only_sex:
        assert frame.select(applies(column)).to_series().to_list() == [True]
