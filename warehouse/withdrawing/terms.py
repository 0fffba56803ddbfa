"""The words of a withdrawal: how, why, and who says so. Light, so that ``hiptriage --help`` loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

How = Literal["restrict", "erase", "lift"]
Reason = Literal["patient_request", "wrong_person", "wrong_clinic", "test_record", "other"]
REASONS: tuple[Reason, ...] = get_args(Reason)
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Agreed:
    """Who withdraws, and for which of REASONS."""

    by: str
    reason: Reason
