"""From which probability a dangerous condition leads to action, read from ``knowledge/decision_costs.yaml``.

Belongs here: the written cost ratios and the limits that follow from them. Does not belong here: what a raised tier
does to a referral (the combination of rules, model and floors).
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.catalogue import Catalogue
from models.knowledge_files import KNOWLEDGE, read_yaml

Share = Annotated[float, Field(gt=0, lt=1)]
Ratio = Annotated[float, Field(ge=1)]


class ConditionCost(BaseModel):
    """Needless actions (and needless reviews) accepted for one missed case, and how far the classifier may raise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    missed_to_unneeded: Ratio
    missed_to_review: Ratio
    raises_to: Literal["same_day", "urgent", "soon"]

    @property
    def raise_from(self) -> float:
        """Probability from which the tier is raised to ``raises_to``: 1 / (1 + ratio)."""
        return 1 / (1 + self.missed_to_unneeded)

    @property
    def review_from(self) -> float:
        """Probability from which a person has to look at the record."""
        return 1 / (1 + self.missed_to_review)


class DecisionCosts(BaseModel):
    """The checked content of ``decision_costs.yaml``; the file explains each figure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signed_by: str | None
    signed_on: str | None
    provenance: Literal["judgement"]
    contributing_factor_from: Share
    conformal_miss_rate: Share
    informative_answers_least: Annotated[int, Field(ge=1)]
    unlike_training_share: Share
    conditions: dict[str, ConditionCost]


@cache
def decision_costs() -> DecisionCosts:
    """The cost ratios and limits, with shape and ranges checked."""
    return DecisionCosts.model_validate(read_yaml(KNOWLEDGE / "decision_costs.yaml"))


def check_costs(costs: DecisionCosts, catalogue: Catalogue) -> None:
    """Raise ``ValueError`` unless the costs name exactly the catalogue's dangerous conditions."""
    dangerous = {condition.id for condition in catalogue.conditions.values() if condition.dangerous}
    if set(costs.conditions) != dangerous:
        differing = sorted(set(costs.conditions) ^ dangerous)
        raise ValueError(f"decision_costs.yaml and the dangerous conditions of the catalogue differ in {differing}")
