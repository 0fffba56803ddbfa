"""The catalogue's files as they lie on disk: the fields of a condition, factor, article and comorbidity file.

Belongs here: what one file may hold, checked by itself. Does not belong here: reading the files and checking them
against the form and each other (``models.catalogue_reading``), the types that the rest of the program uses
(``models.catalogue``).
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.knowledge_files import KnowledgeError

JUDGEMENT = "judgement"

Text = Annotated[str, Field(min_length=1)]


class CatalogueError(KnowledgeError):
    """A file of the catalogue cannot be used; the message names the file and the field."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Figure(_Part):
    value: float
    low: float
    high: float
    source: Text
    provenance: Literal["seen", "judgement"]

    @model_validator(mode="after")
    def _ordered(self) -> _Figure:
        if not self.low <= self.value <= self.high:
            raise ValueError("low, value and high must not decrease")
        if (self.source == JUDGEMENT) != (self.provenance == JUDGEMENT):
            raise ValueError("provenance must be judgement exactly where the source is judgement")
        return self


class LikelihoodRow(_Figure):
    """One figure of a condition or factor; see ``models.catalogue.Likelihood``."""

    column: Text
    answer: Text
    note: str = ""


class PriorRow(_Figure):
    """A prior weight as its source printed it; above 0, so that a condition can be reached at all."""

    value: Annotated[float, Field(gt=0, le=1)]
    low: Annotated[float, Field(ge=0, le=1)]
    high: Annotated[float, Field(ge=0, le=1)]


class SubgroupRow(_Part):
    """One disease of a condition that is a mixture; see ``models.catalogue.Subgroup``."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]
    name: Text
    share: PriorRow
    likelihoods: list[LikelihoodRow] = Field(min_length=1)


class ComorbidPairRow(PriorRow):
    """How often one condition comes with another; see ``models.catalogue.ComorbidPair``."""

    condition: Text
    also: Annotated[Text, Field(alias="with")]
    value: Annotated[float, Field(alias="share", gt=0, le=1)]
    note: Text


class ComorbidPairsFile(_Part):
    """The whole of ``comorbid_pairs.yaml``."""

    pairs: list[ComorbidPairRow]


class EntryFile(_Part):
    """What a condition and a factor have in common; ``order`` is the entry's place among its kind."""

    order: int
    id: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]
    name: Text
    plain_name: Text
    articles: dict[str, Text]
    prior: PriorRow
    conflicts: list[Text] = []
    signed_by: Text | None
    signed_on: date | None
    likelihoods: list[LikelihoodRow] = Field(min_length=1)

    @model_validator(mode="after")
    def _signed_whole(self) -> EntryFile:
        if (self.signed_by is None) != (self.signed_on is None):
            raise ValueError("signed_by and signed_on are filled together or not at all")
        return self


class ConditionFile(EntryFile):
    """One file of ``conditions/``; see ``models.catalogue.Condition``."""

    seek_care: Text
    dangerous: bool
    danger_note: str = ""
    tier: Text
    destination: Text
    first_imaging: Text
    codes: dict[Literal["icd10cm", "snomedct"], Text] = {}
    subgroups: list[SubgroupRow] = []

    @model_validator(mode="after")
    def _danger_explained(self) -> ConditionFile:
        if self.dangerous != bool(self.danger_note):
            raise ValueError("danger_note says why, exactly where dangerous is true")
        return self


class FactorFile(EntryFile):
    """One file of ``contributing_factors/``; see ``models.catalogue.ContributingFactor``."""

    helps: list[Text] = Field(min_length=1)
    without: list[LikelihoodRow]


class ArticleRow(_Part):
    """One of the five articles."""

    title: Text
    author: Text
    published: str = ""
