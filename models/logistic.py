"""Multinomial logistic regression fitted as a correction to the catalogue's naive Bayes weights.

Belongs here: one fit. Does not belong here: drawing records, choosing among candidates (``models.candidates``).

The naive Bayes weights enter as one score a condition, and the ridge penalty holds the answers' own weights near zero.
What the records do not contradict stays as the literature has it; what they do, such as findings that come together, is
unlearnt.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from models import figures, naive_bayes
from models.catalogue import Catalogue
from models.linear_scores import LinearScores

_PENALTY_C = 0.02
_MOST_STEPS = 300


def fit_logistic(catalogue: Catalogue, matrix: sparse.csr_array, label: NDArray[np.str_]) -> LinearScores:
    """Fit on records with every condition equally often; the priors of ``catalogue`` are put back afterwards.

    That classes were drawn in equal numbers lies in the intercept alone (King and Zeng 2001, prior correction). There
    is no fitted intercept: a record that states nothing keeps the priors.
    """
    literature = naive_bayes.answer_weights(catalogue)
    literature -= literature.mean(axis=0)
    scored = sparse.csr_array((matrix @ literature.T).astype(np.float32))
    fitted = LogisticRegression(C=_PENALTY_C, max_iter=_MOST_STEPS, tol=1e-3, fit_intercept=False)
    with warnings.catch_warnings():
        # A fit cut short is still a fit: the evaluation on untouched records says how good it is.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(sparse.hstack([matrix, scored]).tocsr(), label)
    own, on_literature = np.split(fitted.coef_.astype(np.float64), [matrix.shape[1]], axis=1)
    return LinearScores.of(fitted.classes_, own + on_literature @ literature, np.log(figures.priors(catalogue)))
