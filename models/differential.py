"""Probabilities over the conditions, and which of them cannot be excluded.

Belongs here: applying a locked model to records. Does not belong here: what follows for the tier (combination of
rules, model and floors) or why (``models.explanation``).
"""

from __future__ import annotations

from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.decision_costs import decision_costs
from models.features import feature_matrix, features
from models.figures import Floats
from models.model_file import LockedModel

_LEAST = 1e-12  # no condition of the catalogue is ever impossible
_ABOUT_THE_PERSON = frozenset({"age_years", "sex"})


def probabilities(model: LockedModel, records: pl.DataFrame) -> Floats:
    """Probability of every condition, n x len(model.classes) in that order; rows sum to 1, no entry is 0.

    Takes records of ``record_schema``; column order and missing columns make no difference.
    """
    given = np.asarray(model.estimator.predict_proba(feature_matrix(records)), dtype=np.float64)
    given = np.maximum(given, _LEAST)
    return cast(Floats, given / given.sum(axis=1, keepdims=True))


def prediction_sets(model: LockedModel, probabilities: Floats) -> NDArray[np.bool_]:
    """Which conditions cannot be excluded, n x classes: those at or above their conformal threshold, and the likeliest.

    On records like the generated ones a condition is missing from its own records' sets at most one time in ten.
    """
    held = probabilities >= model.set_thresholds
    held[np.arange(len(held)), probabilities.argmax(axis=1)] = True
    return held


def too_thin(records: pl.DataFrame) -> NDArray[np.bool_]:
    """True for records with fewer stated answers, apart from age and sex, than a judgement takes."""
    tells = np.array([feature.column not in _ABOUT_THE_PERSON for feature in features()])
    stated = feature_matrix(records) @ tells.astype(np.float64)
    return np.asarray(stated < decision_costs().informative_answers_least)


def unlike_training(model: LockedModel, records: pl.DataFrame) -> NDArray[np.bool_]:
    """True for records that are too thin, or whose answers are on average rarer than in all but a few generated ones.

    An answer's oddness is minus the logarithm of how often those asked gave it in the generated records; the limit is
    in the manifest. A simple measure: it sees rare answers, not rare combinations of common ones.
    """
    matrix, usual = feature_matrix(records), model.manifest["usual_answers"]
    mean = (matrix @ np.array(usual["oddness"])) / np.maximum(np.diff(matrix.indptr), 1)
    return too_thin(records) | np.asarray(mean > float(usual["mean_oddness_limit"]), dtype=np.bool_)
