"""The generated cohort: reproducible, inside the form, true to the catalogue's figures."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models import figures
from models.asked_of_whom import asked_of_whom
from models.catalogue import Catalogue, load_catalogue
from models.cohort import Cohort, generate
from models.generator_settings import GeneratorSettings, generator_settings
from schemas.form import questions
from schemas.records import record_schema


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="module")
def cohort(catalogue: Catalogue) -> Cohort:
    return generate(catalogue, 5400, 11, balanced=True)


def test_one_seed_gives_one_cohort_and_another_gives_another(catalogue: Catalogue) -> None:
    first, again, other = (generate(catalogue, 300, seed) for seed in (3, 3, 4))
    assert first.records.equals(again.records)
    assert (first.condition == again.condition).all()
    assert (first.factors == again.factors).all()
    assert not first.records.equals(other.records)


def test_records_have_the_shape_of_accepted_records(cohort: Cohort) -> None:
    assert cohort.records.to_arrow().cast(record_schema()).schema.equals(record_schema())
    assert cohort.records["record_id"].n_unique() == cohort.records.height
    for column in ("record_id", "clinic_id", "submitted_at", "completed_by", "intake_hash"):
        assert cohort.records[column].null_count() == 0


def test_every_answer_stands_in_the_range_the_form_allows(cohort: Cohort) -> None:
    for column, question in questions().items():
        if column not in cohort.records.columns:
            continue
        answers = cohort.records[column].drop_nulls()
        if question.allowed_range and len(answers):
            low, high = question.allowed_range
            assert answers.min() >= low and answers.max() <= high, column
        elif question.type == "choice":
            assert set(answers.unique()) <= set(question.choices), column


def test_balanced_natural_and_given_labels(catalogue: Catalogue, cohort: Cohort) -> None:
    _, counts = np.unique(cohort.condition, return_counts=True)
    assert counts.tolist() == [200] * 27
    natural = generate(catalogue, 20000, 5)
    ids = figures.condition_ids(catalogue)
    shares = np.array([(natural.condition == name).mean() for name in ids])
    assert np.abs(shares - figures.priors(catalogue)).max() < 0.02
    fixed = generate(catalogue, 10, 5, conditions=np.array(["tumour"] * 10))
    assert set(fixed.condition) == {"tumour"}
    for wrong in (np.array(["tumour"]), np.array(["no_such"] * 10)):
        with pytest.raises(ValueError, match="ids of the catalogue"):
            generate(catalogue, 10, 5, conditions=wrong)


@pytest.mark.parametrize(
    ("condition", "column"),
    [
        ("septic_arthritis", "systemic__fever"),
        ("meralgia_paresthetica", "neuro__numb_outer_thigh"),
        ("hernia", "local__lump"),
    ],
)
def test_findings_are_as_common_as_the_catalogue_says(catalogue: Catalogue, condition: str, column: str) -> None:
    drawn = generate(catalogue, 12000, 8, conditions=np.array([condition] * 12000)).records
    yes, no = ((drawn[column] == answer).sum() for answer in (True, False))
    # Present findings get written down more often than absent ones; take that out before comparing.
    kinds = generator_settings().form_kinds.values()
    group = questions()[column].group
    written = [
        sum(k.share * k.groups[group].asked * getattr(k.groups[group], how) for k in kinds)
        for how in ("present", "absent")
    ]
    share = (yes / written[0]) / 12000
    figure = catalogue.conditions[condition].likelihood(column, "1")
    assert figure is not None
    assert figure.low - 0.05 <= share <= figure.high + 0.05
    # Absent ones are stated seldomer; a ticked "none of these" states some of them in their place.
    none = f"{questions()[column].box_group}__none_of_these"
    cleared = int(drawn[none].sum()) if none in drawn.columns else 0
    expected = 12000 * (1 - share) * written[1]
    assert expected - cleared - 100 < no < expected + 100
    assert no / (1 - share) < yes / share


def test_findings_that_belong_together_come_together(catalogue: Catalogue) -> None:
    drawn = generate(catalogue, 8000, 9, conditions=np.array(["septic_arthritis"] * 8000)).records
    hot = drawn.filter(pl.col("temperature_c") >= 38)["systemic__fever"].mean()
    cool = drawn.filter(pl.col("temperature_c") < 37.5)["systemic__fever"].mean()
    assert hot > cool + 0.1


def test_questions_for_one_sex_and_one_age_are_answered_by_them_only(cohort: Cohort) -> None:
    records = cohort.records
    for column, sex in asked_of_whom().only_sex.items():
        others = records.filter(pl.col("sex") == ("male" if sex == "female" else "female"))
        assert others[column].null_count() == others.height, column
    slipped = records.filter(pl.Series(cohort.condition) == "slipped_capital_femoral_epiphysis")[
        "age_years"
    ].drop_nulls()
    assert slipped.is_between(8, 17).all()
    implied = records.filter(pl.col("local__lump_growing") & pl.col("local__lump").is_not_null())
    assert implied["local__lump"].all()


def test_forms_of_different_kinds_leave_different_things_blank(cohort: Cohort) -> None:
    answered = cohort.records.select(
        pl.col("completed_by"), pl.sum_horizontal(pl.selectors.boolean().is_not_null()).alias("boxes"), "exam__fadir"
    )
    typical = dict(answered.group_by("completed_by").agg(pl.col("boxes").median()).iter_rows())
    assert typical["telephone"] < 12 < typical["clinician"] < typical["self"]
    assert answered.filter(pl.col("completed_by") == "self")["exam__fadir"].null_count() == (
        answered.filter(pl.col("completed_by") == "self").height
    )


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("implies", {"no_such": "local__lump"}, "no_such"),
        ("linked", {"a": {"night_pain": 0.1}, "b": {"night_pain": 0.2}}, "two groups"),
        ("form_kinds", {}, "sum to 1"),
    ],
)
def test_generator_settings_that_do_not_fit_are_refused(part: str, value: object, words: str) -> None:
    content = {**generator_settings().model_dump(), part: value}
    with pytest.raises(ValueError, match=words):
        GeneratorSettings.model_validate(content)
