"""What a snapshot says about itself: versions, what trained the model, conditions, rules and advice by their ids.

Belongs here: knowledge put into the words and columns of ``warehouse.publication``. Knows nothing of Dagster.
"""

from collections.abc import Mapping
from importlib import metadata

from models.basis import Basis
from schemas.contract import contract_version
from warehouse.publication import Publication, PublishedAdvice, PublishedCondition, PublishedRule


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
        rules=_rules(basis),
        advice=_advice(basis),
    )


def _rules(basis: Basis) -> tuple[PublishedRule, ...]:
    return tuple(
        PublishedRule(
            id=rule.id,
            text=rule.text,
            tier=rule.tier,
            clock_hours=rule.clock_hours,
            destination=rule.destination,
            first_imaging=rule.first_imaging,
            source=rule.source,
            signed_by=rule.signed_by,
            signed_on=rule.signed_on,
        )
        for rule in basis.rules.rules
    )


def _advice(basis: Basis) -> tuple[PublishedAdvice, ...]:
    articles = basis.catalogue.articles
    return tuple(
        PublishedAdvice(id=item.id, text=item.text, article=articles[item.article].title, numbers=item.numbers)
        for item in basis.advice.self_care
        if item.never_publish is None  # no referral names it
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
