"""What outcomes may teach and how much they count, read from ``knowledge/outcome_learning.yaml``.

Belongs here: the shape of that file. Does not belong here: the learning (``models.outcome_learning``).
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.knowledge_files import KNOWLEDGE, read_yaml
from schemas.outcomes import outcome_form

Weight = Annotated[float, Field(gt=0, le=1)]
Sd = Annotated[float, Field(gt=0)]
Patients = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LeastSd(_Part):
    """The smallest standard deviation of a figure by its provenance."""

    judgement: Sd
    seen: Sd


class LiteratureWorth(_Part):
    """How sure a figure of the literature can be: shares and priors in log-odds, numbers in spreads among people."""

    share_sd: LeastSd
    number_sd: LeastSd
    prior_sd: Sd
    least_patients: Patients


class ReportingSd(_Part):
    """How far, in log-odds, a group of questions is from usual forms, and a question from its group."""

    group: Sd
    question: Sd


class AloneWorth(_Part):
    """What a figure and a condition start with, in patients, where the literature is taken away."""

    figure: Patients
    condition: Patients


class LearningSettings(_Part):
    """The checked content of ``outcome_learning.yaml``; the file explains each part."""

    signed_by: str | None
    signed_on: str | None
    provenance: Literal["judgement"]
    found_by: dict[str, Weight]
    seen_before: dict[str, Weight]
    latest_weeks: Patients
    literature: LiteratureWorth
    outcomes_alone: AloneWorth
    reporting_sd: ReportingSd
    folds: Annotated[int, Field(ge=2)]
    weight_steps: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _fits_the_form(self) -> LearningSettings:
        choices = {question.column: set(question.choices) for question in outcome_form()}
        if set(self.found_by) != choices["found_by"] - {"not_confirmed"}:
            raise ValueError("found_by: must name every way of finding but not_confirmed")
        if set(self.seen_before) != choices["differential_seen_before"]:
            raise ValueError("seen_before: must name every answer of differential_seen_before")
        return self


@cache
def learning_settings() -> LearningSettings:
    """The settings, checked."""
    return LearningSettings.model_validate(read_yaml(KNOWLEDGE / "outcome_learning.yaml"))
