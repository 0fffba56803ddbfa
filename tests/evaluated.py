"""Small evaluations for tests: five conditions, two of them dangerous, drawn with a fixed seed."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np

from models.decision_costs import ConditionCost
from models.evaluation.evaluate import EvenSample, evaluate

CLASSES = ("hernia", "sciatica", "septic_arthritis", "synovitis", "tumour")
COSTS = {
    "septic_arthritis": ConditionCost(missed_to_unneeded=50, missed_to_review=100, raises_to="same_day"),
    "tumour": ConditionCost(missed_to_unneeded=24, missed_to_review=50, raises_to="urgent"),
}
GROUPED = {"danger": ["septic_arthritis", "tumour"], "others": ["hernia", "sciatica", "synovitis"]}
PRIOR = np.array([0.3, 0.3, 0.05, 0.3, 0.05])
TIERS = np.array(["emergency", "same_day", "urgent", "soon", "routine", "self_care"])


def draw(n: int, prior: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that lean towards the true class, and the true classes."""
    rng = np.random.default_rng(seed)
    label = rng.choice(len(CLASSES), n, p=prior)
    weight = np.exp(rng.normal(size=(n, len(CLASSES))))
    weight[np.arange(n), label] *= 6
    probabilities = weight * PRIOR
    return probabilities / probabilities.sum(axis=1, keepdims=True), label


def arguments(n: int = 1200) -> dict[str, Any]:
    """Everything ``evaluate`` takes but the probabilities, labels and classes."""
    rng = np.random.default_rng(3)
    probabilities, label = draw(n, PRIOR, 1)
    even, even_label = draw(500, np.full(len(CLASSES), 0.2), 2)
    return {
        "probabilities": probabilities,
        "label": label,
        "classes": CLASSES,
        "held": probabilities >= 0.05,
        "groups": {"sex": np.array(["female", "male", ""])[rng.integers(0, 3, n)], "clinic": _one_tiny(n)},
        "baselines": {"prevalence": np.tile(PRIOR, (n, 1)), "plain naive Bayes": np.sqrt(probabilities)},
        "dangerous": COSTS,
        "tiers": {
            "product": np.where(np.isin(label, [2, 4]), "same_day", TIERS[rng.integers(2, 6, n)]),
            "rules alone": TIERS[rng.integers(0, 6, n)],
            "always urgent": np.full(n, "urgent"),
        },
        "learning_curve": [(1000, 1.4), (10_000, {"value": 1.2, "low": 1.1, "high": 1.3, "n": n})],
        "worlds": {"blend": {"thin_forms": 1.0, "all_at_once": 1.2}, "naive Bayes": {"thin_forms": 1.1}},
        "even": EvenSample(even, even_label, even >= 0.05),
        "coverage_aim": 0.9,
        "grouped": GROUPED,
    }


def _one_tiny(n: int) -> np.ndarray:
    clinic = np.full(n, "north", dtype=object)
    clinic[:29] = "island"
    return clinic


@cache
def evaluation() -> dict[str, Any]:
    """A whole evaluation as it comes back from its JSON file."""
    return json.loads(json.dumps(evaluate(**arguments())))


MANIFEST = {
    "model_version": "0123456789ab",
    "sha256": "feed" * 16,
    "catalogue_version": "abcdef012345",
    "figures_digest": "beef" * 16,
    "libraries": {"numpy": "2.4.6"},
    "n": 5000,
    "seed": 7,
    "training_data": "generated from published and judged likelihoods; no patient record",
    "evidence_basis": "literature",
    "candidate": "blend",
    "selection_rule": "lowest mean log loss over the held-back worlds.",
    "temperature": 1.1,
}
