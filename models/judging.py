"""Judging a trained model on generated records that no step of its training saw.

Belongs here: drawing those records, putting them through the model and through the whole product. Does not belong here:
the formulas (``models.evaluation``), the training (``models.training``).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models import differential, figures, naive_bayes
from models.advice import load_advice
from models.basis import Basis
from models.catalogue import Catalogue
from models.ceiling import ceiling
from models.cohort import Cohort, generate
from models.decision_costs import decision_costs
from models.evaluation.estimates import mean
from models.evaluation.evaluate import Evaluation, EvenSample, evaluate
from models.features import feature_matrix
from models.generator_settings import generator_settings
from models.model_file import LockedModel, in_memory
from models.posterior import CataloguePosterior
from models.referral import referral_rows
from models.rule_files import load_rules
from models.training import WORLD, TrainedModel, part_of
from schemas.records import record_schema

_NATURAL, _EVEN = (0.2, 2_000, 20_000), (0.35, 2_000, 30_000)
CEILING = "ceiling (knows how forms are filled in)"
_AGE_BANDS = ((0, "under 18"), (18, "18 to 34"), (35, "35 to 49"), (50, "50 to 64"), (65, "65 and over"))


def judge(trained: TrainedModel, catalogue: Catalogue, *, n: int, seed: int) -> Evaluation:
    """The evaluation of ``trained``; ``n`` and ``seed`` as it was trained with."""
    model = in_memory(trained)
    first = seed + generator_settings().seeds.evaluation
    natural = generate(catalogue, part_of(n, _NATURAL), first)
    even = generate(catalogue, part_of(n, _EVEN), first + 1, balanced=True)
    matrix = feature_matrix(natural.records)
    label, even_label = (_places(cohort, trained.classes) for cohort in (natural, even))
    read = differential.readings(trained.estimator, matrix)
    given = read.given
    prior = np.tile(figures.priors(catalogue), (len(label), 1))
    return evaluate(
        given,
        label,
        trained.classes,
        held=differential.prediction_sets(model.set_thresholds, read),
        groups=subgroups_of(natural),
        baselines={
            "prevalence": prior,
            "naive Bayes": naive_bayes.posterior(catalogue, matrix),
            "posterior of the catalogue": CataloguePosterior.of(catalogue).predict_proba(matrix),
            CEILING: ceiling(catalogue, matrix),
        },
        dangerous=decision_costs().conditions,
        tiers=_tiers(model, catalogue, natural.records),
        learning_curve=[
            (size, _log_loss(fitted.predict_proba(matrix), label)) for size, fitted in trained.learning_curve
        ],
        worlds={
            name: {world: _estimate(*figure, part_of(n, WORLD)) for world, figure in of_worlds.items()}
            for name, of_worlds in trained.choice.log_loss.items()
        },
        even=_even(model, even, even_label),
        coverage_aim=1 - decision_costs().conformal_miss_rate,
    )


def subgroups_of(cohort: Cohort) -> dict[str, NDArray[np.str_]]:
    """The subgroups that a model is judged in: sex, age, kind of form; "not stated" where the form does not say."""
    band = pl.lit("not stated")
    for youngest, words in _AGE_BANDS:
        band = pl.when(pl.col("age_years") >= youngest).then(pl.lit(words)).otherwise(band)
    stated = cohort.records.select(pl.col("sex").fill_null("not stated"), band.alias("age"))
    kind = np.char.replace(cohort.form_kind.astype(str), "_", " ")
    return {"sex": stated["sex"].to_numpy().astype(str), "age": stated["age"].to_numpy().astype(str), "form": kind}


def _places(cohort: Cohort, classes: tuple[str, ...]) -> NDArray[np.int64]:
    return np.searchsorted(np.array(classes), cohort.condition)


def _tiers(model: LockedModel, catalogue: Catalogue, records: pl.DataFrame) -> dict[str, NDArray[np.str_]]:
    with_model = Basis(catalogue, load_rules(), load_advice(), decision_costs(), model, None)
    without = replace(with_model, model=None, model_refusal="rules alone are judged")
    urgent = np.full(records.height, "urgent")
    return {"product": _tier(records, with_model), "rules alone": _tier(records, without), "always urgent": urgent}


def _tier(records: pl.DataFrame, basis: Basis) -> NDArray[np.str_]:
    given = records.to_arrow().cast(record_schema())
    scored = referral_rows(given, given, basis, scored_at=datetime.now(UTC))
    return np.array(scored["tier"].to_pylist())


def _even(model: LockedModel, cohort: Cohort, label: NDArray[np.int64]) -> EvenSample:
    read = differential.readings(model.estimator, feature_matrix(cohort.records))
    return EvenSample(read.given, label, differential.prediction_sets(model.set_thresholds, read))


def _log_loss(probabilities: figures.Floats, label: NDArray[np.int64]) -> Any:
    return mean(-np.log(probabilities[np.arange(len(label)), label]))


def _estimate(value: float, error: float, n: int) -> Any:
    return {"value": value, "low": value - 1.96 * error, "high": value + 1.96 * error, "n": n}
