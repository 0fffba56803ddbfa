"""Training in a home: the outcomes that landed there in, a stored version out.

Belongs here: putting what the warehouse holds into the shape that ``models.training`` takes, and storing what comes
back. Knows nothing of Dagster. Does not belong here: putting a version in force (``pipelines.changes.promotion``).
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from models.model_file import read_manifest
from models.outcome_training import Outcomes
from models.training import train_and_save
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.outcomes_for_training import landed

# The figures of the model that this release carries: the same call, without outcomes, gives the same model.
RELEASE_RECORDS, RELEASE_SEED = 216_000, 20_261


@dataclass(frozen=True)
class Trained:
    """A stored version: its manifest and its folder."""

    manifest: dict[str, Any]
    folder: Path

    @property
    def version(self) -> str:
        """As scores would carry it."""
        return str(self.manifest["model_version"])


def train_in(home: Home, *, records: int, seed: int, use_outcomes: bool) -> Trained:
    """Train on ``records`` generated records and store the version in the home; the same version again stays as it is.

    The warehouse is held for reading the outcomes and for storing, not while the model learns. Raises WarehouseBusy,
    WarehouseRefused.
    """
    home.ensure()
    outcomes = _outcomes(home) if use_outcomes else None
    with tempfile.TemporaryDirectory(dir=home.models, prefix=".half-") as made:
        half = Path(made)
        version = train_and_save(half, n=records, seed=seed, outcomes=outcomes)
        folder = home.models / version
        with holding(home, "store a model"):
            if not folder.exists():
                half.rename(folder)
                half.mkdir()
    return Trained(read_manifest(folder), folder)


def _outcomes(home: Home) -> Outcomes | None:
    if not home.warehouse.exists():
        return None
    found = landed(home)
    if found.received_until is None:
        return None
    outcomes, records = (pl.DataFrame(pl.from_arrow(table)) for table in (found.outcomes, found.records))
    return Outcomes(outcomes, records, found.received_until, found.data_kinds)
