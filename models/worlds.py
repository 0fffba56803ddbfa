"""Worlds of generated records, read from ``knowledge/worlds.yaml``: what may be otherwise than the catalogue says.

Belongs here: which worlds there are and in what they differ. Does not belong here: drawing their records
(``models.cohort``), comparing models over them (``models.candidates``).
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.figures import Place
from models.knowledge_files import KNOWLEDGE, read_yaml

Times = Annotated[float, Field(ge=0, le=10)]


class World(BaseModel):
    """In what one world differs; the file explains each part. ``seed`` is added to that of its records."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    figures: Place
    priors: Place
    asked: Times
    present: Times
    absent: Times
    lean: Times
    seed: int


class Worlds(BaseModel):
    """The checked content of ``worlds.yaml``: the world that models are fitted in and those held back from them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signed_by: str | None
    signed_on: str | None
    provenance: Literal["judgement"]
    home: World
    held_back: dict[str, World]


@cache
def worlds() -> Worlds:
    """The worlds, checked."""
    return Worlds.model_validate(read_yaml(KNOWLEDGE / "worlds.yaml"))
