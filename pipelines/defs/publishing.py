"""Stage 4: the published snapshot that clinicians read."""

from collections.abc import Mapping
from importlib import metadata

import dagster as dg

from models.basis import LITERATURE, Basis
from pipelines.failures import without_patient_values
from pipelines.model_in_force import basis_in_force, settle
from schemas.contract import contract_version
from warehouse import model_history
from warehouse.home import Home
from warehouse.publication import Publication, PublishedCondition
from warehouse.snapshots import publish


@dg.asset(
    group_name="4_publication",
    kinds={"duckdb", "parquet"},
    owners=["team:clinic-analysts"],
    deps=["referral_score", "unread_forms"],
)
def snapshot(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """An immutable folder of referral tables, one file a clinic, that readers open without ever meeting a writer."""
    with without_patient_values("publication"):
        home = Home.from_environment()
        settle(home)  # also where this asset is materialised alone: a change is not published before it is made
        published = publish(home, about=_about(basis_in_force(home)))
        model_history.enter_published(home, published.snapshot_id)
        context.log.info(f"snapshot {published.snapshot_id}: {published.referrals} referrals published")
    return dg.MaterializeResult(
        metadata={
            "snapshot": published.snapshot_id,
            "clinics": published.clinics,
            "unchanged clinics, linked": published.linked,
            "dagster/row_count": published.referrals,
            "forms that could not be read": published.unread,
            "of them with an emergency answer": published.unread_emergency,
        }
    )


def _about(basis: Basis) -> Publication:
    return Publication(
        code_version=metadata.version("hiptriage"),
        model_version=basis.model_version,
        catalogue_version=basis.catalogue_version,
        rules_version=basis.rules.version,
        contract_version=contract_version(),
        evidence_basis=LITERATURE,
        training=basis.training_statement,
        banner=basis.banner,
        conditions=_conditions(basis),
        safety_net=dict(basis.advice.safety_net),
    )


def _conditions(basis: Basis) -> tuple[PublishedCondition, ...]:
    def listed(said: Mapping[str, str]) -> str:
        return "; ".join(f"{key}: {text}" for key, text in said.items())

    conditions = [
        PublishedCondition(
            condition=entry.id,
            kind="condition",
            name=entry.name,
            plain_name=entry.plain_name,
            dangerous=entry.dangerous,
            default_tier=entry.tier,
            destination=entry.destination,
            first_imaging=entry.first_imaging,
            seek_care=entry.seek_care,
            articles=listed(entry.articles),
            codes=listed(entry.codes),
            signed_by=entry.signed_by,
            signed_on=entry.signed_on,
        )
        for entry in basis.catalogue.conditions.values()
    ]
    factors = [
        PublishedCondition(
            condition=entry.id,
            kind="contributing_factor",
            name=entry.name,
            plain_name=entry.plain_name,
            dangerous=False,
            default_tier="",
            destination="",
            first_imaging="",
            seek_care="",
            articles=listed(entry.articles),
            codes="",
            signed_by=entry.signed_by,
            signed_on=entry.signed_on,
        )
        for entry in basis.catalogue.factors.values()
    ]
    return (*conditions, *factors)
