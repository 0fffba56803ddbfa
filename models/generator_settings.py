"""The settings of the record generator, read from ``knowledge/generator.yaml`` and checked against the form.

Belongs here: the shape of that file. Does not belong here: drawing records (``models.cohort``).
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.knowledge_files import KNOWLEDGE, read_yaml
from schemas.form import answer_columns, questions

Share = Annotated[float, Field(ge=0, le=1)]


class _Setting(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stated(_Setting):
    """How often a group of questions is asked, and once asked, how often a present and an absent finding is written."""

    asked: Share
    present: Share
    absent: Share


class FormKind(_Setting):
    """One way in which forms get filled; ``none_of_these`` is how often that box is ticked where it is true."""

    share: Share
    completed_by: str
    none_of_these: Share
    groups: dict[str, Stated]


class Shape(_Setting):
    """The scale a number is spread on; ``shift`` is added before the logarithm."""

    scale: Literal["linear", "log"]
    shift: Annotated[float, Field(ge=0)]
    decimals: Annotated[int, Field(ge=0, le=3)]


class Seeds(_Setting):
    """Offsets added to the seed of a training run for each of its parts."""

    training: int
    calibration: int
    selection: int
    conformal: int
    evaluation: int


class GeneratorSettings(_Setting):
    """The checked content of ``generator.yaml``; the file explains each part."""

    signed_by: str | None
    signed_on: str | None
    provenance: Literal["judgement"]
    records_per_clinic: Annotated[int, Field(ge=1)]
    form_kinds: dict[str, FormKind]
    stray_answers: Annotated[float, Field(ge=0, lt=1)]
    record_only: Share
    linked: dict[str, dict[str, Annotated[float, Field(gt=-1, lt=1)]]]
    implies: dict[str, str]
    not_beside: dict[str, tuple[str, ...]]
    condition_age: dict[str, tuple[int, int]]
    age_of_anyone: tuple[int, int]
    sex_other: Share
    numbers: dict[str, Shape]
    seeds: Seeds

    @model_validator(mode="after")
    def _fits_the_form(self) -> GeneratorSettings:
        asked = questions()
        members = [column for group in self.linked.values() for column in group]
        if len(members) != len(set(members)):
            raise ValueError(f"linked: in two groups: {sorted({c for c in members if members.count(c) > 1})}")
        beside = [name.partition("=")[0] for names in self.not_beside.items() for name in (names[0], *names[1])]
        named = [
            *members,
            *beside,
            *self.implies,
            *self.implies.values(),
            *self.numbers,
        ]
        unknown = sorted(set(named) - set(asked))
        if unknown:
            raise ValueError(f"generator.yaml: the form has no {unknown}")
        groups = {asked[c].group for c in answer_columns()}
        for name, kind in self.form_kinds.items():
            if set(kind.groups) != groups:
                raise ValueError(f"form_kinds {name}: groups must be exactly {sorted(groups)}")
            if kind.completed_by not in asked["completed_by"].choices:
                raise ValueError(f"form_kinds {name}: completed_by is not an answer of the form")
        if abs(sum(kind.share for kind in self.form_kinds.values()) - 1) > 1e-9:
            raise ValueError("form_kinds: shares must sum to 1")
        return self


@cache
def generator_settings() -> GeneratorSettings:
    """The generator's settings, checked."""
    return GeneratorSettings.model_validate(read_yaml(KNOWLEDGE / "generator.yaml"))
