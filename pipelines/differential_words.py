"""What a referral may be, in words before numbers: most likely, possible, cannot be excluded.

Belongs here: the grouping that the terminal, the worklist and the record of the page share, and how a probability is
written. Does not belong here: the probabilities (``models.differential``), layout.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.console import words

POSSIBLE_FROM = 0.05  # below this a condition is named only where it cannot be excluded (not yet signed by a clinician)
POSSIBLE_AT_MOST = 5
ADULT_MODEL_FROM_AGE = 16
NO_MODEL = "no model is in force: rules alone"
NOT_FOR_CHILDREN = "the model is not built for children: rules decide"


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions of one standing: ``label`` says which, ``conditions`` are ids, the most probable first."""

    label: str
    conditions: tuple[str, ...]

    def named(self, names: Mapping[str, str]) -> tuple[str, ...]:
        """The conditions by the clinician's name; ``names`` are those of the table ``conditions`` by id."""
        return tuple(name_of(condition, names) for condition in self.conditions)


def groups(row: Mapping[str, Any]) -> Iterator[Group]:
    """The groups that hold a condition, in the order most likely, possible, cannot be excluded.

    ``row``: a row of ``referrals`` with ``differential`` and ``prediction_set``. Without a model (an empty
    differential) there are none: ``NO_MODEL`` says so. A condition may stand in the last group and in one before it.
    """
    ranked = row["differential"] or []
    if not ranked:
        return
    likely, *others = ranked
    possible = [one["condition"] for one in others if one["probability"] >= POSSIBLE_FROM][:POSSIBLE_AT_MOST]
    found = {
        "most likely": [likely["condition"]],
        "possible": possible,
        "cannot be excluded": row["prediction_set"] or [],
    }
    for label, conditions in found.items():
        if conditions:
            yield Group(label, tuple(conditions))


def is_child(row: Mapping[str, Any]) -> bool:
    """Whether no percentage may stand beside this row: the model is not built for people under 16."""
    age = row["age_years"]
    return "child" in (row["special"] or []) or (age is not None and age < ADULT_MODEL_FROM_AGE)


def name_of(condition: str, names: Mapping[str, str]) -> str:
    """The clinician's name of a condition or contributing factor, or its id as words where no name is known."""
    return names.get(condition, words(condition))


def percent(probability: float) -> str:
    """A probability as a whole percentage; never 0 and never 100, which no model can know."""
    if probability < 0.01:
        return "less than 1 %"
    return "more than 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"
