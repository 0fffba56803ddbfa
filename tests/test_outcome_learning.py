"""Learning from outcomes: who teaches, what moves and how far, how far it is trusted, and that it helps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import figures
from models.catalogue import Catalogue, Likelihood, Prior, load_catalogue
from models.cohort import Cohort, generate
from models.figures import log_odds
from models.learning_curve import LearningPoint, differing_clinic, learning_curve
from models.literature_prior import priors_worth, share_worth
from models.naive_bayes import posterior
from models.outcome_blend import choose_weight, cross_fitted, fit_blend, folds_of, pool
from models.outcome_learning import learn, outcomes_alone
from models.outcome_settings import learning_settings
from models.teaching_outcomes import teaching_outcomes, teaching_records
from schemas.form import answer_columns, questions
from schemas.outcomes import outcome_schema

SUBMITTED = datetime(2026, 10, 1, 8, tzinfo=UTC)
TAUGHT = {
    "record_id": "r-1",
    "clinic_id": "north",
    "submitted_at": SUBMITTED,
    "recorded_at": SUBMITTED + timedelta(days=20),
    "attended": True,
    "confirmed_condition": "labral_tear",
    "found_by": "imaging",
    "differential_seen_before": "no",
    "harm": "none",
}


def outcomes(*changes: dict[str, object]) -> pl.DataFrame:
    rows = [TAUGHT | change for change in changes]
    columns = {field.name: [row.get(field.name) for row in rows] for field in outcome_schema()}
    return pl.DataFrame(columns, schema=pl.from_arrow(outcome_schema().empty_table()).schema)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="module")
def ids(catalogue: Catalogue) -> list[str]:
    return list(figures.condition_ids(catalogue))


@pytest.fixture(scope="module")
def own_world(catalogue: Catalogue) -> Cohort:
    """Records of a clinic that is just as the literature says."""
    return generate(differing_clinic(catalogue, 5, 0.0), 4000, 5)


# who teaches

WEIGHTS = [
    ({}, 1.0),
    ({"found_by": "clinical_course"}, 0.6),
    ({"differential_seen_before": "yes"}, 0.5),
    ({"differential_seen_before": None}, 0.75),
    ({"found_by": "follow_up", "differential_seen_before": "yes"}, 0.4),
    ({"attended": False, "confirmed_condition": None}, None),
    ({"confirmed_condition": None, "found_by": "not_confirmed"}, None),
    ({"found_by": None}, None),
    ({"attended": False}, None),
    ({"recorded_at": SUBMITTED + timedelta(weeks=52, seconds=1)}, None),
    ({"harm": "worsened", "harm_related": "yes"}, 1.0),
]


@pytest.mark.parametrize(("change", "weight"), WEIGHTS)
def test_an_outcome_teaches_by_how_it_was_found_and_never_by_harm(
    change: dict[str, object], weight: float | None
) -> None:
    taught = teaching_outcomes(outcomes(change))["weight"].to_list()
    assert taught == ([] if weight is None else [pytest.approx(weight)])


def test_the_last_outcome_of_a_record_speaks_for_all() -> None:
    later = {"recorded_at": SUBMITTED + timedelta(days=30)}
    assert (
        teaching_outcomes(outcomes(later | {"confirmed_condition": "hernia"}, {}))["confirmed_condition"][0] == "hernia"
    )
    withdrawn = later | {"confirmed_condition": None, "found_by": "not_confirmed"}
    assert teaching_outcomes(outcomes({}, withdrawn)).is_empty()


def test_an_outcome_teaches_the_version_of_the_record_that_it_names(own_world: Cohort) -> None:
    records = own_world.records.head(2)
    named = dict(
        zip(
            ("record_id", "clinic_id", "submitted_at"),
            records.select("record_id", "clinic_id", "submitted_at").row(1),
            strict=True,
        )
    )
    named["recorded_at"] = named["submitted_at"] + timedelta(days=3)
    other = named | {"record_id": records["record_id"][0]}
    found, taught = teaching_records(records, outcomes(named, other))
    assert found["record_id"].to_list() == [named["record_id"]]
    assert found.columns == records.columns
    assert taught.rows() == [("labral_tear", 1.0)]


# what the literature is worth


def row(value: float, low: float, high: float, provenance: str = "seen") -> Likelihood:
    return Likelihood("rest_pain", "1", value, low, high, "s", provenance, "")  # type: ignore[arg-type]


def test_a_range_is_worth_the_patients_that_would_give_it() -> None:
    # 50 of 100 patients: standard error of the log-odds 0.2, held up to 0.25; a wide range is worth fewer than two.
    worth = share_worth(
        [row(0.5, 0.4184, 0.5816), row(0.5, 0.3393, 0.6607), row(0.5, 0.02, 0.98), row(0.01, 0.0052, 0.019)]
    )
    assert worth[0] == pytest.approx(4 / 0.25**2, rel=0.01)
    assert worth[1] == pytest.approx(4 / 0.405**2, rel=0.01)
    assert worth[2] == 2
    assert worth[3] > 4 * worth[1]


def test_judgement_is_worth_less_than_a_published_figure_of_the_same_range() -> None:
    judged, seen = share_worth([row(0.3, 0.25, 0.35, "judgement"), row(0.3, 0.25, 0.35)])
    assert judged == pytest.approx(seen / 4)
    assert priors_worth([Prior(0.5, 0.49, 0.51, "s", "seen")] * 2) == pytest.approx(2 / 0.5 / 0.5**2)


# what moves


def stating(cohort: Cohort, condition: str, n: int, **answers: object) -> pl.DataFrame:
    """``n`` records that state nothing but ``answers``."""
    blank = [pl.lit(None, cohort.records.schema[column]).alias(column) for column in answer_columns()]
    given = [pl.lit(answer, cohort.records.schema[column]).alias(column) for column, answer in answers.items()]
    return cohort.records.head(n).with_columns(blank).with_columns(given)


def test_without_outcomes_the_catalogue_stays(catalogue: Catalogue, own_world: Cohort) -> None:
    assert learn(catalogue, own_world.records.head(0), [], np.empty(0)) is catalogue


def test_blank_answers_move_no_figure_and_labels_move_the_priors(catalogue: Catalogue, own_world: Cohort) -> None:
    learnt = learn(catalogue, stating(own_world, "hernia", 50), ["hernia"] * 50, np.ones(50))
    for name, condition in learnt.conditions.items():
        assert condition.likelihoods == catalogue.conditions[name].likelihoods
    assert learnt.conditions["hernia"].prior.value > 5 * catalogue.conditions["hernia"].prior.value
    assert sum(c.prior.value for c in learnt.conditions.values()) == pytest.approx(1)
    assert learnt.version != catalogue.version


def test_a_dangerous_condition_that_never_comes_back_keeps_the_low_end_of_its_prior(
    catalogue: Catalogue, own_world: Cohort
) -> None:
    learnt = learn(catalogue, stating(own_world, "hernia", 4000), ["hernia"] * 4000, np.ones(4000))
    for name, condition in catalogue.conditions.items():
        if condition.dangerous:
            assert learnt.conditions[name].prior.value == pytest.approx(condition.prior.low)
    assert learnt.conditions["synovitis"].prior.value < catalogue.conditions["synovitis"].prior.low


def test_a_stated_choice_moves_its_condition_by_the_size_of_the_literature(
    catalogue: Catalogue, own_world: Cohort
) -> None:
    records = stating(own_world, "hernia", 60, course="progressive")
    learnt = learn(catalogue, records, ["hernia"] * 60, np.full(60, 0.5))
    before, after = (c.conditions["hernia"].likelihood("course", "progressive") for c in (catalogue, learnt))
    assert before is not None
    assert after is not None
    worth = float(after.note.split("n0=")[1].split(",")[0])
    assert after.note.endswith("outcomes n=30.0")
    assert after.value == pytest.approx((worth * before.value + 30) / (worth + 30), abs=0.03)
    assert after.source == before.source
    assert log_odds(after.high) - log_odds(after.low) < log_odds(before.high) - log_odds(before.low)
    assert learnt.conditions["labral_tear"].likelihoods == catalogue.conditions["labral_tear"].likelihoods


def test_a_number_moves_all_three_percentiles_towards_what_was_stated(catalogue: Catalogue, own_world: Cohort) -> None:
    records = stating(own_world, "hernia", 40, age_years=60)
    learnt = learn(catalogue, records, ["hernia"] * 40, np.ones(40))
    old, new = (
        [c.conditions["hernia"].likelihood("age_years", p).value for p in figures.PERCENTILES]  # type: ignore[union-attr]
        for c in (catalogue, learnt)
    )
    assert old[1] < new[1] < 60
    assert np.diff(new) == pytest.approx(np.diff(old))


def test_a_subgroup_moves_with_its_condition(catalogue: Catalogue, own_world: Cohort) -> None:
    mixed = next(c for c in catalogue.conditions.values() if any(p.likelihood("sex", "female") for p in c.subgroups))
    learnt = learn(catalogue, stating(own_world, mixed.id, 50, sex="female"), [mixed.id] * 50, np.ones(50))
    for before, after in zip(mixed.subgroups, learnt.conditions[mixed.id].subgroups, strict=True):
        old, new = before.likelihood("sex", "female"), after.likelihood("sex", "female")
        if old is not None and new is not None:
            assert new.value > old.value


@pytest.mark.parametrize(
    ("condition", "weight"), [(["flu"], [1.0]), (["hernia"] * 2, [1.0]), (["hernia"], [0.0]), (["hernia"], [1.0, 1.0])]
)
def test_labels_that_do_not_fit_are_refused(
    catalogue: Catalogue, own_world: Cohort, condition: list[str], weight: list[float]
) -> None:
    with pytest.raises(ValueError, match=r"length|catalogue|above 0"):
        learn(catalogue, own_world.records.head(1), condition, np.array(weight))


def box_shifts(before: Catalogue, after: Catalogue, least: float) -> pl.DataFrame:
    """Log-odds of yes/no figures before and after, where at least ``least`` outcomes speak about one."""
    rows = [
        (name, new.column, float(log_odds(old.value)), float(log_odds(new.value)))
        for name, condition in before.conditions.items()
        for old, new in zip(condition.likelihoods, after.conditions[name].likelihoods, strict=True)
        if new.answer == "1" and old is not new and float(new.note.rsplit("n=", 1)[1]) >= least
    ]
    return pl.DataFrame(rows, schema=["condition", "column", "before", "after"], orient="row")


def test_positives_stated_more_often_do_not_raise_the_figures(catalogue: Catalogue, own_world: Cohort) -> None:
    """In a clinic just like the literature, shares of stated answers lie far too high, and what is learnt does not."""
    learnt = learn(catalogue, own_world.records, own_world.condition.tolist(), np.ones(4000))
    moved = box_shifts(catalogue, learnt, 30)
    assert moved.height > 1000
    # Not nearer to 0, because "none of these" denies a whole group at once and usual forms are known without it.
    assert abs((moved["after"] - moved["before"]).mean()) < 0.25
    stated = (
        own_world.records.group_by(pl.Series("condition", own_world.condition))
        .agg(pl.col(column).mean() for column in answer_columns() if questions()[column].type == "yesno")
        .unpivot(index="condition", variable_name="column", value_name="share")
    )
    naive = moved.join(stated, on=["condition", "column"]).drop_nulls()
    assert (log_odds(naive["share"].to_numpy()) - naive["before"].to_numpy()).mean() > 0.5


def test_conditions_with_outcomes_gain_nothing_over_those_without(catalogue: Catalogue, own_world: Cohort) -> None:
    """Other pens: the level of a question moves for all conditions, or the ones heard of would win on every finding."""
    heard = np.isin(own_world.condition, figures.condition_ids(catalogue)[::2])
    records = own_world.records.filter(heard).with_columns(
        # This clinic writes down one absent finding in four of those that others write down.
        pl.when(pl.col(column) | (pl.col("submitted_at").dt.second() % 4 == 0)).then(pl.col(column)).alias(column)
        for column in answer_columns()
        if questions()[column].type == "yesno"
    )
    learnt = learn(catalogue, records, own_world.condition[heard].tolist(), np.ones(heard.sum()))
    moved = box_shifts(catalogue, learnt, 0).with_columns(by=pl.col("after") - pl.col("before"))
    of_heard = moved["condition"].is_in(list(figures.condition_ids(catalogue)[::2]))
    unheard_of = moved.filter(~of_heard)["by"].mean()
    assert unheard_of > 0.5
    assert moved.filter(of_heard)["by"].mean() == pytest.approx(unheard_of, abs=0.15)


def test_what_differs_from_the_literature_is_found(catalogue: Catalogue) -> None:
    truth = differing_clinic(catalogue, 3, 2.5)
    cohort = generate(truth, 4000, 3)
    learnt = learn(catalogue, cohort.records, cohort.condition.tolist(), np.ones(4000))
    moved = box_shifts(catalogue, learnt, 30)
    real = [
        float(log_odds(truth.conditions[c].likelihood(q, "1").value))
        for c, q in moved.select("condition", "column").rows()
    ]  # type: ignore[union-attr]
    error_before, error_after = (np.abs(moved[part].to_numpy() - np.array(real)).mean() for part in ("before", "after"))
    assert error_after < 0.8 * error_before


def test_outcomes_alone_know_nothing_of_the_literature(catalogue: Catalogue, own_world: Cohort) -> None:
    other = differing_clinic(catalogue, 8, 3.0)
    records, condition = own_world.records.head(500), own_world.condition[:500].tolist()
    one, two = (outcomes_alone(c, records, condition, np.ones(500)) for c in (catalogue, other))
    for name in catalogue.conditions:
        assert one.conditions[name].prior.value == pytest.approx(two.conditions[name].prior.value)
        for column in ("rest_pain", "systemic__fever"):
            values = [c.conditions[name].likelihood(column, "1").value for c in (one, two)]  # type: ignore[union-attr]
            assert values[0] == pytest.approx(values[1], abs=0.02)


# how far it is trusted

tables = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).dirichlet(np.ones(5), (2, 3)))


@settings(max_examples=25, deadline=None)
@given(tables, st.floats(0, 1))
def test_a_pool_lies_between_its_parts_and_sums_to_one(parts: np.ndarray, weight: float) -> None:
    pooled = pool(parts[0], parts[1], weight)
    assert pooled.sum(axis=1) == pytest.approx(1)
    assert (pooled > 0).all()
    assert pool(parts[0], parts[1], 0) == pytest.approx(parts[0], abs=1e-9)
    assert pool(parts[0], parts[1], 1) == pytest.approx(parts[1], abs=1e-9)
    odds = [np.log(p[:, 0] / p[:, 1]) for p in (parts[0], pooled, parts[1])]
    assert (np.minimum(odds[0], odds[2]) - 1e-6 <= odds[1]).all()
    assert (odds[1] <= np.maximum(odds[0], odds[2]) + 1e-6).all()


def guesses(right: float, n: int, seed: int) -> np.ndarray:
    """Probabilities of three conditions of which the first is true and gets about ``right``."""
    noise = np.random.default_rng(seed).normal(0, 0.3, n)
    first = 1 / (1 + np.exp(-(np.log(right / (1 - right)) + noise)))
    return np.column_stack([first, (1 - first) / 2, (1 - first) / 2])


@pytest.mark.parametrize(
    ("literature", "outcomes_", "n", "low", "high"),
    [(0.3, 0.9, 200, 0.9, 1.0), (0.9, 0.3, 200, 0.0, 0.0), (0.6, 0.6, 30, 0.0, 0.5), (0.5, 0.5, 0, 0.0, 0.0)],
)
def test_the_weight_follows_what_validates(
    literature: float, outcomes_: float, n: int, low: float, high: float
) -> None:
    choice = choose_weight(guesses(literature, n, 1), guesses(outcomes_, n, 2), np.zeros(n, np.int64), np.ones(n))
    assert low <= choice.weight <= high
    assert choice.outcomes == n


def test_of_weights_that_cannot_be_told_apart_the_smallest_is_taken() -> None:
    choice = choose_weight(guesses(0.6, 30, 1), guesses(0.605, 30, 2), np.zeros(30, np.int64), np.ones(30))
    assert int(np.argmin(choice.loss)) > 0
    assert choice.weight == 0


def test_two_forms_of_one_person_never_stand_on_both_sides(own_world: Cohort) -> None:
    one_clinic = own_world.records.head(300).with_columns(
        pl.lit("north").alias("clinic_id"), pl.Series("patient_key", [f"p{i % 100}" for i in range(300)])
    )
    parts = one_clinic.select("patient_key").with_columns(pl.Series("fold", folds_of(one_clinic)))
    assert parts.group_by("patient_key").agg(pl.col("fold").n_unique())["fold"].max() == 1
    assert parts["fold"].n_unique() == learning_settings().folds
    clinics = own_world.records.select("clinic_id").with_columns(pl.Series("fold", folds_of(own_world.records)))
    assert clinics.group_by("clinic_id").agg(pl.col("fold").n_unique())["fold"].max() == 1


def test_no_record_is_predicted_by_what_it_taught(catalogue: Catalogue, own_world: Cohort, ids: list[str]) -> None:
    records, condition = (
        own_world.records.head(40).with_columns(clinic_id=pl.lit("north")),
        own_world.condition[:40].tolist(),
    )
    taught: list[set[str]] = []

    def spy(whole: Catalogue, part: pl.DataFrame, of: object, weight: object) -> Catalogue:
        taught.append(set(part["record_id"]))
        return whole

    asked: list[int] = []

    def predict(of: Catalogue, matrix: object) -> np.ndarray:
        asked.append(matrix.shape[0])  # type: ignore[attr-defined]
        return np.full((asked[-1], len(ids)), 1 / len(ids))

    found = cross_fitted(catalogue, records, condition, np.ones(40), predict, spy)
    assert found.shape == (40, len(ids))
    assert sum(asked) == 40
    assert [40 - len(names) for names in taught] == asked
    assert set.intersection(*taught) == set()


def test_the_basis_names_outcomes_only_where_they_carry_weight(catalogue: Catalogue, own_world: Cohort) -> None:
    nothing = fit_blend(catalogue, own_world.records.head(0), [], np.empty(0), posterior)
    assert (nothing.evidence_basis, nothing.choice.weight) == ("literature", 0)
    trusted = replace(nothing, choice=replace(nothing.choice, weight=0.5, outcomes=200))
    assert trusted.evidence_basis == "literature+outcomes(200)"


# that it helps


@pytest.fixture(scope="module")
def curve(catalogue: Catalogue) -> tuple[LearningPoint, ...]:
    clinic = differing_clinic(catalogue, 12, 1.5)
    return learning_curve(catalogue, clinic, posterior, sizes=(0, 50, 200, 1000), fresh=1500, seed=12)


def test_the_log_loss_falls_as_outcomes_arrive(curve: tuple[LearningPoint, ...]) -> None:
    losses = [point.blend for point in curve]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] - 0.05
    assert curve[0].weight == 0
    assert curve[-1].weight > 0


def test_it_is_never_worse_than_the_better_extreme_by_more_than_noise(curve: tuple[LearningPoint, ...]) -> None:
    for point in curve:
        assert point.worse <= 2 * point.error + 1e-6, point


def test_a_differing_clinic_is_one_clinic(catalogue: Catalogue) -> None:
    clinic = differing_clinic(catalogue, 4, 1.0)
    assert sum(c.prior.value for c in clinic.conditions.values()) == pytest.approx(1)
    assert clinic.version != catalogue.version
    columns = figures.tables(catalogue)
    for figure in clinic.conditions["hernia"].likelihoods:
        old = catalogue.conditions["hernia"].likelihood(figure.column, figure.answer)
        if figure.column in columns and old is not None and old.low < old.value < old.high:
            assert figure.low == pytest.approx(figure.high)
            assert figure.value != old.value
