"""What a look at an installation finds: one line of ``hiptriage doctor``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: ``state`` is ok, note (nothing to do at once) or wrong."""

    state: str
    sentence: str
