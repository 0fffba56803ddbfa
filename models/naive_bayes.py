"""The yardstick: a plain naive Bayes computed from the catalogue's central figures, with nothing learnt.

Belongs here: the weight of every stated answer if findings were independent given the condition. The trained model
starts from these weights and is compared with them.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy import sparse
from scipy.special import softmax

from models import figures
from models.catalogue import Catalogue
from models.feature_shares import answer_shares
from models.features import features
from models.figures import Floats


def answer_weights(catalogue: Catalogue) -> Floats:
    """Log-share of every feature among stated answers under every condition, conditions x features.

    A condition's share is the mean over its subgroups and comorbid pairs. Features without figures weigh 0 everywhere.
    """
    mixing = figures.mixing(catalogue)
    shares = answer_shares(catalogue, drawn=False, stated=True)
    columns = [mixing @ shares[f][:, 0] if f in shares else np.ones(len(mixing)) for f in features()]
    return cast(Floats, np.log(np.array(columns).T))


def posterior(catalogue: Catalogue, matrix: sparse.csr_array) -> Floats:
    """Naive Bayes probabilities, n x conditions in the order of ``figures.condition_ids``; rows sum to 1."""
    scores = matrix @ answer_weights(catalogue).T + np.log(figures.priors(catalogue))
    return cast(Floats, softmax(scores, axis=1))
