"""Sentences that stand on a model's card and in its report, whatever its figures are.

Belongs here: intended use, what it is not for, limits. Does not belong here: figures, and the layout around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNSIGNED = "Not yet signed by a clinician: not the rules, not the tiers, not the thresholds, not this report."
NO_PROOF = "Nothing on this page is proof of safety."
UNTESTED = "Weights from published figures, not tested on this clinic's patients."
ABOUT_GENERATED = (
    "The records were generated from the same catalogue that the model learnt from. The figures say how well it learnt"
    " that catalogue. They say nothing about patients."
)

INTENDED_USE = (
    "Orders the intake forms of runners with hip pain for a health professional who decides whom to see first.",
    "Gives, for each form, probabilities of 27 conditions, those that cannot be excluded, findings for and against,"
    " and questions to ask. Red-flag rules stand above it: it may raise a tier up to same day, worded as something to"
    " consider, and never lowers one.",
    "Users: physiotherapists, sports physicians and general practitioners of a clinic; analysts who look after"
    " the data.",
)
NOT_FOR = (
    "Not for patients alone, and not for use without a health professional who checks the basis of each row.",
    "Not for people under 16: rules decide there, and conditions are listed without percentages.",
    "Not for emergencies: nobody reads a form in real time.",
    "Not a diagnosis, and no reason to delay imaging or referral that a clinician would otherwise arrange.",
    "Not for people without hip, groin, buttock or thigh pain, and not for anybody's fitness to compete.",
)
INPUTS = (
    "The answers of the intake form, as far as they are given. A blank answer is not read as no and weighs nothing;"
    " how many forms leave what blank is simulated, not observed.",
    "Free text, names and images are not read. Each row of the worklist lists the answers that counted and those that"
    " are missing.",
)
LIMITS = (
    "No published table pairs hip findings with confirmed diagnoses in runners. Outcomes of clinics have to show"
    " whether these figures hold for patients.",
    "Most figures of the catalogue are judgement: unsourced, no clinician asked. Generator and model share them, so"
    " agreement between the two proves nothing about the world.",
    "How findings come together, what forms leave blank and how clinics differ are guesses, written in generator.yaml.",
    "Written cost ratios set the thresholds for dangerous conditions. They are judgement, not measured.",
    "Ethnicity, language and access to care are not on the form: whether the model serves these groups equally cannot"
    " be judged here.",
    "A small subgroup is left out instead of shown: too few is not the same as no difference.",
)
OVERSIGHT = (
    "Each row shows its basis: rules fired with their source, findings for and against, findings missing,"
    " alternatives.",
    "A clinician's decision and its reason are kept beside the computed tier and are never overwritten. How often"
    " advice is followed or overridden has not been measured.",
    "A model is promoted by a person, after a preview of which open referrals change tier, and can be rolled back or"
    " suspended (rules only).",
)
NOT_MEASURED = "Not measured for this model."
TOO_FEW = "too few"


def standing(manifest: dict[str, Any]) -> str:
    """How far the weights rest on patients at all, as one sentence."""
    basis = str(manifest.get("evidence_basis", "literature"))
    if basis == "literature":
        return UNTESTED
    return f"Weights from published figures and outcomes of clinics ({basis}), not tested on later patients of theirs."


def learnt_from(manifest: dict[str, Any]) -> list[str]:
    """What the model learnt from, as sentences; what the manifest does not say is left out."""
    found = []
    if "training_data" in manifest:
        number = f"{manifest['n']:,} records " if "n" in manifest else "Records "
        found.append(f"{number}{manifest['training_data']}.")
    if "evidence_basis" in manifest:
        found.append(f"Evidence basis: {manifest['evidence_basis']}.")
    if "outcomes" in manifest:
        found.append(_of_outcomes(manifest["outcomes"]))
    found.append("Most figures of the catalogue are judgement: unsourced, no clinician asked.")
    return found


def _of_outcomes(said: Mapping[str, Any]) -> str:
    fitted = said["cross_fitted"]
    return (
        f"Confirmed outcomes: {said['confirmed']:,}, counted as {said['counted_as']:g} by how surely they were found,"
        f" received until {said['received_until'][:10]}; weight {said['weight']:g} of 1. Log loss on them, each by what"
        f" the others taught: {fitted['with_outcomes']:.3f} against {fitted['literature']:.3f} by the literature alone"
        f" (standard error of the difference {fitted['standard_error']:.3f})."
    )


def method(manifest: dict[str, Any]) -> list[str]:
    """Which candidate won, how, and its settings, as sentences; what the manifest does not say is left out."""
    found = []
    if "candidate" in manifest:
        found.append(f"Candidate chosen: {manifest['candidate']}.")
    if "selection_rule" in manifest:
        found.append(f"Rule of selection, written before: {manifest['selection_rule']}")
    if "temperature" in manifest:
        found.append(
            f"Temperature {manifest['temperature']:.3f} on the log-probabilities, fitted on generated records that the"
            " base model never saw (Guo and others 2017)."
        )
    return found


def versions(manifest: dict[str, Any]) -> dict[str, str]:
    """Versions, hashes and seeds by what they are of; what the manifest does not say is left out."""
    names = {
        "model_version": "model",
        "sha256": "model file, SHA-256",
        "catalogue_version": "catalogue",
        "figures_digest": "figures of the catalogue",
        "features_digest": "features",
        "data_digest": "training data",
        "code_version": "code",
        "seed": "seed",
        "trained_on": "trained on",
    }
    found = {words: str(manifest[key]) for key, words in names.items() if key in manifest}
    return found | {name: str(version) for name, version in manifest.get("libraries", {}).items()}
