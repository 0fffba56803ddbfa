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
from models.features import NO, YES, facts, features
from models.figures import Floats
from models.generator_settings import generator_settings

_LEAST = 1e-3


def answer_weights(catalogue: Catalogue) -> Floats:
    """Log-probability of every feature under every condition, conditions x features.

    A fact carried by two columns takes the larger share, because either column states it. Features without figures
    weigh 0 everywhere.
    """
    tables = figures.tables(catalogue)
    central = {column: figures.central(column, table) for column, table in tables.items()}
    shares = np.ones((len(catalogue.conditions), len(features())))
    for position, feature in enumerate(features()):
        column = feature.column
        carriers = [c for c in facts().get(column, (column,)) if c in central]
        if not carriers:
            continue
        table = tables[carriers[0]]
        if feature.answer in (YES, NO):
            share = np.max([central[c][:, 0] for c in carriers], axis=0)
            shares[:, position] = share if feature.answer == YES else 1 - share
        elif table.is_number:
            shape = generator_settings().numbers[column]
            below_high = figures.share_below(feature.high, central[column], shape)
            shares[:, position] = below_high - figures.share_below(feature.low, central[column], shape)
        elif column == "sex":
            women = central[column][:, 0]
            shares[:, position] = {"female": women, "male": 1 - women}.get(feature.answer, np.ones(len(women)))
        else:
            shares[:, position] = central[column][:, table.answers.index(feature.answer)]
    return cast(Floats, np.log(np.maximum(shares, _LEAST)))


def posterior(catalogue: Catalogue, matrix: sparse.csr_array) -> Floats:
    """Naive Bayes probabilities, n x conditions in the order of ``figures.condition_ids``; rows sum to 1."""
    scores = matrix @ answer_weights(catalogue).T + np.log(figures.priors(catalogue))
    return cast(Floats, softmax(scores, axis=1))
