"""Probabilities over the conditions, and which of them cannot be excluded.

Belongs here: applying a locked model to records. Does not belong here: what follows for the tier (combination of
rules, model and floors) or why (``models.explanation``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from models.decision_costs import decision_costs
from models.features import feature_matrix, features
from models.figures import ABOUT_THE_PERSON, Floats
from models.model_file import LockedModel
from models.pool import Part
from models.red_flags import cautious, without_red_flags

_LEAST = 1e-12  # no condition of the catalogue is ever impossible


def probabilities(model: LockedModel, records: pl.DataFrame, matrix: sparse.csr_array | None = None) -> Floats:
    """Probability of every condition, n x len(model.classes) in that order; rows sum to 1, no entry is 0.

    Takes records of ``record_schema``; column order and missing columns make no difference. ``matrix``: the
    ``feature_matrix`` of the records where the caller has it; else it is worked out here.
    """
    return _given(model.estimator, feature_matrix(records) if matrix is None else matrix)


def _given(estimator: Part, matrix: sparse.csr_array) -> Floats:
    if not matrix.shape[0]:  # scikit-learn refuses an empty batch
        return np.empty((0, len(estimator.classes_)))
    given = np.maximum(np.asarray(estimator.predict_proba(matrix), dtype=np.float64), _LEAST)
    return cast(Floats, given / given.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Readings:
    """Three tables of probabilities, n x classes.

    ``given``: of all answers; ``without_flags``: of the answers that are no red flags; ``cautious``: ``given`` with the
    dangerous conditions read so that no red flag reassures (rows then need not sum to 1).
    """

    given: Floats
    without_flags: Floats
    cautious: Floats


def readings(estimator: Part, matrix: sparse.csr_array) -> Readings:
    """All readings of rows of ``feature_matrix``: what thresholds are set on, judged by and applied to."""
    given, without_flags = _given(estimator, matrix), _given(estimator, without_red_flags(matrix))
    return Readings(given, without_flags, cautious(estimator, matrix, given, without_flags))


def prediction_sets(thresholds: Floats, read: Readings) -> NDArray[np.bool_]:
    """Which conditions cannot be excluded, n x classes: those at or above their conformal threshold, and the likeliest.

    ``thresholds``: one a class, set on cautious probabilities (``models.conformal``). On records like the generated
    ones a condition is missing from the sets of its own records as often as ``conformal_miss_rate`` says.
    """
    held = read.cautious >= thresholds
    held[np.arange(len(held)), read.given.argmax(axis=1)] = True
    return held


def too_thin(records: pl.DataFrame, matrix: sparse.csr_array | None = None) -> NDArray[np.bool_]:
    """True for records with fewer stated answers, apart from age and sex, than a judgement takes.

    ``matrix`` as in ``probabilities``.
    """
    tells = np.array([feature.column not in ABOUT_THE_PERSON for feature in features()])
    stated = (feature_matrix(records) if matrix is None else matrix) @ tells.astype(np.float64)
    return np.asarray(stated < decision_costs().informative_answers_least)


def unlike_training(
    model: LockedModel, records: pl.DataFrame, matrix: sparse.csr_array | None = None
) -> NDArray[np.bool_]:
    """True for records that are too thin, or whose answers are on average rarer than in all but a few generated ones.

    An answer's oddness is minus the logarithm of how often those asked gave it in the generated records; the limit is
    in the manifest. A simple measure: it sees rare answers, not rare combinations of common ones. ``matrix`` as in
    ``probabilities``.
    """
    stated, usual = feature_matrix(records) if matrix is None else matrix, model.manifest["usual_answers"]
    mean = (stated @ np.array(usual["oddness"])) / np.maximum(np.diff(stated.indptr), 1)
    return too_thin(records, stated) | np.asarray(mean > float(usual["mean_oddness_limit"]), dtype=np.bool_)
