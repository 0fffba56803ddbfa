"""From the outcomes of an installation to the catalogue that a training generates its records from.

Belongs here: literature as prior and outcomes as data, as one step before a training, and what the manifest says of
it. Does not belong here: which outcomes teach (``models.teaching_outcomes``), how figures move
(``models.outcome_learning``), how far they are trusted (``models.outcome_blend``), reading them from the warehouse.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from models.basis import LITERATURE
from models.catalogue import Catalogue
from models.outcome_blend import Blend, fit_blend
from models.outcome_learning import learn
from models.posterior import CataloguePosterior
from models.teaching_outcomes import teaching_records

OUTCOMES = "outcomes"  # the part of a manifest that this module writes
INVENTED = "sample"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Accepted outcomes and the forms that they name.

    ``outcomes``: of ``schemas.outcomes.outcome_schema``, oldest arrival first; ``records``: of
    ``schemas.records.record_schema``. ``received_until``: when the last of them came in (UTC). ``data_kinds``: of the
    forms (live or sample).
    """

    outcomes: pl.DataFrame
    records: pl.DataFrame
    received_until: datetime
    data_kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taught:
    """A catalogue that outcomes have moved, and what the manifest of a model trained on it says of them."""

    catalogue: Catalogue
    manifest: dict[str, Any]

    @property
    def evidence_basis(self) -> str:
        """``literature+outcomes(n)``, or ``literature`` where validation gave the outcomes no weight."""
        n = self.manifest["confirmed"]
        return f"{LITERATURE}+outcomes({n})" if self.manifest["weight"] > 0 else LITERATURE

    @property
    def statement(self) -> str:
        """What the outcomes are and how far they count, as it goes on after "generated from ... likelihoods"."""
        n, weight, kinds = self.manifest["confirmed"], self.manifest["weight"], self.manifest["data_kinds"]
        whose = "of invented people (sample data)" if INVENTED in kinds else "of this installation's patients"
        if weight == 0:
            return f"; {n:,} confirmed outcomes {whose} were looked at and given no weight"
        return f" that {n:,} confirmed outcomes {whose} have moved (weight {weight:g} of 1, chosen by cross-fitting)"


def moved_by(manifest: Mapping[str, Any]) -> int:
    """How many confirmed outcomes moved the weights of the model with this manifest."""
    said = manifest.get(OUTCOMES, {})
    return int(said["confirmed"]) if said.get("weight", 0) > 0 else 0


def taught_by(literature: Catalogue, given: Outcomes) -> Taught | None:
    """The catalogue after these outcomes; None where none of them may teach.

    Every figure goes the part of the way that ``fit_blend`` chooses for the catalogue's posterior, cross-fitted over
    clinics or patients, so that outcomes which do not help on people they have not seen change nothing. The manifest's
    part holds numbers, a digest and the time up to which outcomes were looked at, and nothing of any record.
    """
    records, taught = teaching_records(given.records, given.outcomes)
    if not records.height:
        return None
    condition, weight = taught["confirmed_condition"].to_list(), taught["weight"].to_numpy()
    blend = fit_blend(
        literature,
        records,
        condition,
        weight,
        lambda catalogue, rows: CataloguePosterior.of(catalogue).predict_proba(rows),
    )
    moved = learn(literature, records, condition, weight, part=blend.choice.weight)
    said = {
        "confirmed": records.height,
        "counted_as": round(float(weight.sum()), 2),
        "digest": _digest(records, taught),
        "received_until": given.received_until.isoformat(),
        "data_kinds": list(given.data_kinds),
        "weight": blend.choice.weight,
        "cross_fitted": _cross_fitted(blend),
    }
    return Taught(moved if blend.choice.weight > 0 else literature, said)


def _cross_fitted(blend: Blend) -> dict[str, float]:
    """Mean log loss (nats) of the catalogue's posterior on the outcomes, each by what the others taught.

    ``standard_error``: of the difference between the literature and the best weight, paired by record.
    """
    choice = blend.choice
    chosen = choice.grid.index(choice.weight)
    return {
        "literature": round(choice.loss[0], 6),
        "with_outcomes": round(choice.loss[chosen], 6),
        "standard_error": round(choice.error[0], 6),
    }


def _digest(records: pl.DataFrame, taught: pl.DataFrame) -> str:
    """SHA-256 (hex) over what was learnt from, in an order of its own: says whether two trainings had the same."""
    rows = pl.concat(
        [records.select("clinic_id", "record_id", "submitted_at", "intake_hash"), taught], how="horizontal"
    )
    content = rows.sort("clinic_id", "record_id").with_columns(pl.col("submitted_at").dt.to_string("iso:strict"))
    return hashlib.sha256(json.dumps(content.rows()).encode()).hexdigest()
