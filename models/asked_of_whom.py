"""To whom a question is put, by sex and age, read from ``knowledge/asked_of_whom.yaml``.

Belongs here: which questions are limited so. Does not belong here: what a stated answer means (``models.rules``).
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, model_validator

from models.knowledge_files import KNOWLEDGE, read_yaml
from schemas.form import answer_columns


class AskedOfWhom(BaseModel):
    """The checked content of ``asked_of_whom.yaml``: the sex, and the ages in years, that a column is asked of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signed_by: str | None
    signed_on: str | None
    provenance: Literal["judgement"]
    only_sex: dict[str, Literal["female", "male"]]
    only_age: dict[str, tuple[int, int]]

    @model_validator(mode="after")
    def _of_the_form(self) -> AskedOfWhom:
        unknown = sorted({*self.only_sex, *self.only_age} - set(answer_columns()))
        if unknown:
            raise ValueError(f"asked_of_whom.yaml: the form has no {unknown}")
        return self


@cache
def asked_of_whom() -> AskedOfWhom:
    """The limits, checked against the form."""
    return AskedOfWhom.model_validate(read_yaml(KNOWLEDGE / "asked_of_whom.yaml"))


def is_limited(column: str) -> bool:
    """Whether ``column`` is put to one sex or to some ages only."""
    return column in asked_of_whom().only_sex or column in asked_of_whom().only_age


def applies(column: str) -> pl.Expr:
    """True where ``column`` may be asked of a record's person; what is not stated rules no question out."""
    found = pl.col("sex").is_null() | True
    if column in asked_of_whom().only_sex:
        other = "male" if asked_of_whom().only_sex[column] == "female" else "female"
        found = found & (pl.col("sex") != other).fill_null(True)
    if column in asked_of_whom().only_age:
        found = found & pl.col("age_years").is_between(*asked_of_whom().only_age[column]).fill_null(True)
    return found
