"""A model small enough to be trained within tests, trained once a process."""

from __future__ import annotations

from functools import cache

from models.catalogue import load_catalogue
from models.evaluation.evaluate import Evaluation
from models.training import TrainedModel, train

SMALL_N, SMALL_SEED = 1350, 5


@cache
def small_model() -> TrainedModel:
    """The model of ``SMALL_N`` generated records."""
    return train(load_catalogue(), n=SMALL_N, seed=SMALL_SEED)


@cache
def small_evaluation() -> Evaluation:
    """What the small model's run says of it."""
    from models.judging import judge

    return judge(small_model(), load_catalogue(), n=SMALL_N, seed=SMALL_SEED)
