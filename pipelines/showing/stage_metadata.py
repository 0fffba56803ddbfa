"""What a stage came to, as metadata: the same whether an asset or a job went through it.

Belongs here: names and kinds of metadata entries: counts, versions and lineage of columns only. Does not belong here:
the stages (``pipelines.stages``), checks.
"""

from collections.abc import Mapping

import dagster as dg

from models.basis import Basis
from pipelines.showing.referral_columns import SCORE_LINEAGE, SNAPSHOT_LINEAGE
from pipelines.stages import Done
from warehouse.snapshots import Published

Metadata = Mapping[str, str | int | dg.TableColumnLineage]


def forms_looked_at(done: Done) -> Metadata:
    """Of ``unread_forms``."""
    return {"looked at": done.records, "rules version": done.basis.rules.version}


def model(basis: Basis) -> Metadata:
    """Of ``model_in_force``."""
    return {"model version": basis.model_version, "trained on": basis.training_statement}


def scores(done: Done) -> Metadata:
    """Of ``referral_score``."""
    basis = done.basis
    return {
        "dagster/row_count": done.records,
        "model version": basis.model_version,
        "catalogue version": basis.catalogue_version,
        "rules version": basis.rules.version,
        "trained on": basis.training_statement,
        **SCORE_LINEAGE,
    }


def snapshot(published: Published) -> Metadata:
    """Of ``snapshot``."""
    return {
        "snapshot": published.snapshot_id,
        "clinics": published.clinics,
        "unchanged clinics, linked": published.linked,
        "dagster/row_count": published.referrals,
        "forms that could not be read": published.unread,
        "of them with an emergency answer": published.unread_emergency,
        **SNAPSHOT_LINEAGE,
    }
