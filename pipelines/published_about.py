"""What a snapshot says about itself: versions, what trained the model, the conditions by their names.

Belongs here: knowledge put into the words and columns of ``warehouse.publication``. Knows nothing of Dagster.
"""

from collections.abc import Mapping
from importlib import metadata

from models.basis import Basis
from schemas.contract import contract_version
from warehouse.publication import Publication, PublishedCondition


def about(basis: Basis) -> Publication:
    """What a snapshot by this knowledge and model says about itself."""
    return Publication(
        code_version=metadata.version("hiptriage"),
        model_version=basis.model_version,
        catalogue_version=basis.catalogue_version,
        rules_version=basis.rules.version,
        contract_version=contract_version(),
        evidence_basis=basis.evidence_basis,
        training=basis.training_statement,
        banner=basis.banner,
        conditions=_conditions(basis),
        safety_net=dict(basis.advice.safety_net),
        emergency_rules=tuple(rule.id for rule in basis.rules.rules if rule.tier == "emergency"),
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
