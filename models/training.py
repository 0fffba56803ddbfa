"""Training the classifier on generated records, and judging it on others.

Belongs here: cohorts, fit, prior correction, calibration, evaluation of one run. Does not belong here: storing the
result (``models.model_file``), drawing records (``models.cohort``).

The classifier is one linear model over stated answers, so that every conclusion can be taken apart exactly. It is
fitted as a correction to the naive Bayes weights of the catalogue: these enter as one score a condition, and the ridge
penalty holds the answers' own weights near zero. What the cohort does not contradict stays as the literature has it;
what it does, such as findings that come together, is unlearnt.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from models import evaluation, figures, naive_bayes
from models.catalogue import Catalogue, load_catalogue
from models.cohort import Cohort, generate
from models.decision_costs import check_costs, decision_costs
from models.evaluation import Ints
from models.features import feature_matrix, feature_names, features
from models.figures import Floats
from models.generator_settings import generator_settings

TRAINING_DATA = "generated from published and judged likelihoods; no patient record"
_PENALTY_C = 0.02
_MOST_STEPS = 300
_NATURAL_SHARE, _BALANCED_SHARE = 0.5, 0.4  # sizes of the later cohorts, as shares of the training cohort
_LEAST_NATURAL = 5_000  # rare conditions have to occur in the calibration cohort of a small run too
_FIXTURE_ROWS = 20


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A fitted classifier, and everything about the run that its manifest records.

    ``estimator`` is a scikit-learn classifier over ``feature_matrix`` rows with ``classes`` in its ``classes_``.
    """

    estimator: CalibratedClassifierCV
    classes: tuple[str, ...]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Sample:
    matrix: sparse.csr_array
    label: Ints


def train(catalogue: Catalogue, *, n: int, seed: int) -> TrainedModel:
    """Fit, calibrate and evaluate a classifier on ``n`` generated training records and further untouched ones.

    The four cohorts (training and conformal with classes in equal numbers, calibration and evaluation as often as the
    priors say) come from seeds that share no record. The same ``n`` and ``seed`` give the same model on the same
    libraries and kind of processor.
    """
    # One thread: the order in which threads add up would otherwise show in the last digits, and grow over the steps.
    with threadpool_limits(limits=1):
        return _train(catalogue, n, seed)


def _train(catalogue: Catalogue, n: int, seed: int) -> TrainedModel:
    costs, offsets = decision_costs(), generator_settings().seeds
    check_costs(costs, catalogue)
    classes = figures.condition_ids(catalogue)
    training = _sample(generate(catalogue, n, seed + offsets.training, balanced=True), classes)
    base = _fit(catalogue, training, classes)
    calibration = _sample(generate(catalogue, _natural(n), seed + offsets.calibration), classes)
    estimator = CalibratedClassifierCV(FrozenEstimator(base), method="temperature")
    estimator.fit(calibration.matrix, np.array(classes)[calibration.label])
    conformal = _sample(generate(catalogue, int(n * _BALANCED_SHARE), seed + offsets.conformal, balanced=True), classes)
    thresholds = evaluation.class_thresholds(
        estimator.predict_proba(conformal.matrix), conformal.label, costs.conformal_miss_rate
    )
    found = {
        "n": n,
        "seed": seed,
        "training_data": TRAINING_DATA,
        "evidence_basis": "literature",
        "catalogue_version": catalogue.version,
        "temperature": float(1 / estimator.calibrated_classifiers_[0].calibrators[0].beta_),
        "conformal_thresholds": dict(zip(classes, thresholds.tolist(), strict=True)),
        "usual_answers": _usual_answers(calibration.matrix),
        "evaluation": _evaluate(catalogue, estimator, thresholds, classes, n, seed),
        "fixture": _fixture(estimator, calibration.matrix),
    }
    return TrainedModel(estimator, classes, found)


def train_and_save(folder: Path, *, n: int, seed: int) -> str:
    """Train on the catalogue of this release, store the model in ``folder``, give its version."""
    from models.model_file import save_model

    return save_model(train(load_catalogue(), n=n, seed=seed), folder)


def _natural(n: int) -> int:
    return max(int(n * _NATURAL_SHARE), _LEAST_NATURAL)


def _sample(cohort: Cohort, classes: tuple[str, ...]) -> _Sample:
    return _Sample(feature_matrix(cohort.records), np.searchsorted(np.array(classes), cohort.condition))


def _fit(catalogue: Catalogue, training: _Sample, classes: tuple[str, ...]) -> LogisticRegression:
    literature = naive_bayes.answer_weights(catalogue)
    literature -= literature.mean(axis=0)
    scored = sparse.csr_array((training.matrix @ literature.T).astype(np.float32))
    both = sparse.hstack([training.matrix, scored]).tocsr()
    # No fitted intercept: a record that states nothing keeps the priors, so a blank is never read as an answer.
    fitted = LogisticRegression(C=_PENALTY_C, max_iter=_MOST_STEPS, tol=1e-3, fit_intercept=False)
    with warnings.catch_warnings():
        # A fit cut short is still a fit: the evaluation on untouched records says how good it is.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(both, np.array(classes)[training.label])
    own, on_literature = np.split(fitted.coef_.astype(np.float64), [len(feature_names())], axis=1)
    base = LogisticRegression(C=_PENALTY_C, max_iter=_MOST_STEPS, tol=1e-3)
    base.classes_ = fitted.classes_
    base.coef_ = own + on_literature @ literature
    # Classes were drawn in equal numbers; in the world they are as common as their priors say. For a logistic model
    # that difference lies in the intercept alone (King and Zeng 2001, prior correction).
    base.intercept_ = np.log(figures.priors(catalogue))
    base.n_iter_ = fitted.n_iter_
    base.n_features_in_ = len(feature_names())
    return base


def _usual_answers(matrix: sparse.csr_array) -> dict[str, Any]:
    """How often each answer is given by those who give any to its question, and the oddness few records exceed."""
    stated = np.asarray(matrix.sum(axis=0), dtype=np.float64)
    columns = [feature.column for feature in features()]
    _, question = np.unique(columns, return_inverse=True)
    asked = np.bincount(question, weights=stated)[question]
    oddness = -np.log((stated + 0.5) / (asked + 1))
    counts = np.maximum(np.diff(matrix.indptr), 1)
    means = (matrix @ oddness) / counts
    limit = float(np.quantile(means, 1 - decision_costs().unlike_training_share))
    return {"oddness": np.round(oddness, 6).tolist(), "mean_oddness_limit": limit}


def _evaluate(
    catalogue: Catalogue,
    estimator: CalibratedClassifierCV,
    thresholds: Floats,
    classes: tuple[str, ...],
    n: int,
    seed: int,
) -> dict[str, Any]:
    first = seed + generator_settings().seeds.evaluation
    natural = _sample(generate(catalogue, _natural(n), first), classes)
    even = _sample(generate(catalogue, int(n * _BALANCED_SHARE), first + 1, balanced=True), classes)
    p_natural, p_even = (cast(Floats, estimator.predict_proba(sample.matrix)) for sample in (natural, even))
    in_set = p_even >= thresholds
    covered = in_set[np.arange(len(even.label)), even.label]
    action: dict[str, dict[str, float]] = {}
    for name, cost in decision_costs().conditions.items():
        position = classes.index(name)
        own = np.flatnonzero(even.label == position)
        others = np.flatnonzero(natural.label != position)
        action[name] = {
            "raise_from": cost.raise_from,
            "sensitivity": float((p_even[own, position] >= cost.raise_from).mean()),
            "raised_without_it": float((p_natural[others, position] >= cost.raise_from).mean()),
            "sensitivity_review": float((p_even[own, position] >= cost.review_from).mean()),
        }
    dangerous = [classes.index(name) for name in decision_costs().conditions]
    limits = np.array([decision_costs().conditions[classes[i]].raise_from for i in dangerous])
    harmless = ~np.isin(natural.label, dangerous)
    raised = np.asarray((p_natural[:, dangerous] >= limits).any(axis=1))
    return {
        "records": len(natural.label),
        "model": evaluation.scores(p_natural, natural.label),
        "naive_bayes": evaluation.scores(naive_bayes.posterior(catalogue, natural.matrix), natural.label),
        "dangerous": action,
        "harmless_raised": float(raised[harmless].mean()),
        "set_coverage": evaluation.share_by_class(covered, even.label, classes),
        "set_size": float((p_natural >= thresholds).sum(axis=1).mean()),
        "set_holds_danger": float((p_natural >= thresholds)[:, dangerous].any(axis=1).mean()),
    }


def _fixture(estimator: CalibratedClassifierCV, matrix: sparse.csr_array) -> list[dict[str, Any]]:
    rows = matrix[:_FIXTURE_ROWS]
    expected = estimator.predict_proba(rows)
    stated = [rows.indices[start:stop].tolist() for start, stop in zip(rows.indptr, rows.indptr[1:], strict=False)]
    return [{"stated": s, "probabilities": p} for s, p in zip(stated, expected.tolist(), strict=True)]
