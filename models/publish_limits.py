"""How far tiers may be lowered by a publication without anybody's word, read from ``knowledge/publish_limits.yaml``.

Belongs here: the shape of that file. Does not belong here: applying the limits (``warehouse.tier_gate``).
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.knowledge_files import KNOWLEDGE, read_yaml

Count = Annotated[int, Field(ge=0)]


class PublishLimitsFile(BaseModel):
    """The checked content of ``publish_limits.yaml``; the file explains each figure."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    signed_by: str | None
    signed_on: str | None
    provenance: Literal["judgement"]
    from_emergency_at_most: Count
    from_same_day_at_most: Count
    share_at_most: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
    least_records: Annotated[int, Field(ge=1)]


@cache
def publish_limits() -> PublishLimitsFile:
    """The limits, with shape and ranges checked."""
    return PublishLimitsFile.model_validate(read_yaml(KNOWLEDGE / "publish_limits.yaml"))
