"""Where each limit of the form comes from, read from ``limits.csv``.

Belongs here: the source of every allowed and plausible range. The ranges themselves stand in ``intake_form.csv``; a
test holds the two together. ``provenance`` is ``definition`` (of the scale or by arithmetic) or ``judgement``:
unsourced, no clinician asked, not yet signed by a clinician.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from schemas.package_rows import read_rows


@dataclass(frozen=True, slots=True)
class Limit:
    """One range of one column, and why it is what it is."""

    column: str
    limit: Literal["allowed", "plausible"]
    bounds: str
    provenance: Literal["definition", "judgement"]
    source: str

    @property
    def said(self) -> str:
        """The source in words that can be shown beside a failure."""
        unsigned = "" if self.provenance == "definition" else ", unsourced and not yet signed by a clinician"
        return f"{self.source} ({self.provenance}{unsigned})"


@cache
def limits() -> dict[tuple[str, str], Limit]:
    """Every limit by column and kind (allowed or plausible)."""
    rows = [Limit(**row) for row in read_rows("limits.csv")]  # type: ignore[arg-type]
    return {(row.column, row.limit): row for row in rows}
