"""How well probabilities, prediction sets and tiers fit known conditions, and the page that says so.

Belongs here: figures about a table of probabilities and the diagnoses that turned out true, each with its number of
records and its interval, and their report. Does not belong here: making the probabilities (``models.training``) or the
tiers (``models.priority``). Nothing here knows an estimator.
"""

from models.evaluation.scoring import Ints, scores, share_by_class

__all__ = ["Ints", "scores", "share_by_class"]
