"""Probabilities over the conditions, and which of them cannot be excluded.

Belongs here: applying a locked model to records. Does not belong here: what follows for the tier (combination of
rules, model and floors) or why (``models.explanation``).
"""

from __future__ import annotations

from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from models.decision_costs import decision_costs
from models.features import feature_matrix, features
from models.figures import Floats
from models.model_file import LockedModel

_LEAST = 1e-12  # no condition of the catalogue is ever impossible
_ABOUT_THE_PERSON = frozenset({"age_years", "sex"})


def probabilities(model: LockedModel, records: pl.DataFrame, matrix: sparse.csr_array | None = None) -> Floats:
    """Probability of every condition, n x len(model.classes) in that order; rows sum to 1, no entry is 0.

    Takes records of ``record_schema``; column order and missing columns make no difference. ``matrix``: the
    ``feature_matrix`` of the records where the caller has it; else it is worked out here.
    """
    stated = feature_matrix(records) if matrix is None else matrix
    if not stated.shape[0]:  # scikit-learn refuses an empty batch
        return np.empty((0, len(model.classes)))
    given = np.asarray(model.estimator.predict_proba(stated), dtype=np.float64)
    given = np.maximum(given, _LEAST)
    return cast(Floats, given / given.sum(axis=1, keepdims=True))


def prediction_sets(model: LockedModel, probabilities: Floats) -> NDArray[np.bool_]:
    """Which conditions cannot be excluded, n x classes: those at or above their conformal threshold, and the likeliest.

    On records like the generated ones a condition is missing from its own records' sets at most one time in ten.
    """
    held = probabilities >= model.set_thresholds
    held[np.arange(len(held)), probabilities.argmax(axis=1)] = True
    return held


def too_thin(records: pl.DataFrame, matrix: sparse.csr_array | None = None) -> NDArray[np.bool_]:
    """True for records with fewer stated answers, apart from age and sex, than a judgement takes.

    ``matrix`` as in ``probabilities``.
    """
    tells = np.array([feature.column not in _ABOUT_THE_PERSON for feature in features()])
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
