"""From when on a change is called out, read from ``knowledge/monitoring_limits.yaml``.

Belongs here: the shape of that file. Does not belong here: the comparisons that use it.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.knowledge_files import KNOWLEDGE, read_yaml

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Windows(_Part):
    """Days of the recent window and of the reference window right before it."""

    recent_days: Count
    reference_days: Count


class DriftLimits(_Part):
    """Least forms in each window, Jensen-Shannon distance (0 to 1), and share of false alarms among alarms."""

    least_records: Count
    distance: Share
    chance: Share


class Drift(_Part):
    """Limits for single questions of the form, and for tiers."""

    answers: DriftLimits
    tiers: DriftLimits


class FreshnessLimits(_Part):
    """Which gaps between days with arrivals are looked at, and how many times the usual one is late (days)."""

    gaps: Count
    least_gaps: Count
    usual_share: Share
    times_usual: Annotated[float, Field(ge=1)]
    least_days: Count


class VolumeLimits(_Part):
    """Which weeks make the usual one, and below which share and chance a week is low."""

    weeks: Count
    least_weeks: Count
    least_forms: Count
    share: Share
    chance: Share


class Slope(_Part):
    """Calibration slopes that are taken as right, ends included."""

    least: Annotated[float, Field(gt=0, le=1)]
    most: Annotated[float, Field(ge=1)]


class CalibrationLimits(_Part):
    """How far back outcomes count (days), how many it takes, and the slopes taken as right."""

    days: Count
    least_outcomes: Count
    slope: Slope


class SensitivityLimits(_Part):
    """How far back outcomes count (days), how many dangerous ones it takes, and the share to reach by which tier."""

    days: Count
    least_outcomes: Count
    seen_by: Literal["same_day", "urgent"]
    aim: Share


class MonitoringLimits(_Part):
    """The checked content of ``monitoring_limits.yaml``; the file explains each figure."""

    signed_by: str | None
    signed_on: str | None
    provenance: Literal["judgement"]
    windows: Windows
    drift: Drift
    freshness: FreshnessLimits
    volume: VolumeLimits
    calibration: CalibrationLimits
    sensitivity: SensitivityLimits


@cache
def monitoring_limits() -> MonitoringLimits:
    """The limits, with shape and ranges checked."""
    return MonitoringLimits.model_validate(read_yaml(KNOWLEDGE / "monitoring_limits.yaml"))


def signature() -> str:
    """Who stands for the limits, as words that follow a finding."""
    by = monitoring_limits().signed_by
    return f"limits signed by {by}" if by else "limits not yet signed by a clinician"
