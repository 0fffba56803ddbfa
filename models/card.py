"""The card that goes with a stored model: what it is, what it learnt from, how good it was, what it is not.

Belongs here: wording the manifest's figures for readers. Does not belong here: computing them.
"""

from __future__ import annotations

from typing import Any


def card_text(manifest: dict[str, Any]) -> str:
    """The card as Markdown, every figure taken from ``manifest``."""
    judged = manifest["evaluation"]
    return "\n".join([*_head(manifest), *_accuracy(judged), *_danger(judged), *_sets(judged), *_limits()]) + "\n"


def _head(manifest: dict[str, Any]) -> list[str]:
    return [
        f"# Model {manifest['model_version']}",
        "",
        "Weights from published figures, not tested on this clinic's patients. Not yet signed by a clinician.",
        "",
        f"- Learnt from: {manifest['n']:,} records {manifest['training_data']}; seed {manifest['seed']};"
        f" catalogue {manifest['catalogue_version']}. Most of the catalogue's figures"
        " are judgement: unsourced, no clinician asked.",
        "- Kind: multinomial logistic regression over stated answers, fitted as a correction to the naive Bayes weights"
        " of the catalogue on equally many records of each condition; intercepts corrected to the priors (King and Zeng"
        f" 2001); temperature {manifest['temperature']:.3f} fitted on records with natural priors (Guo and others"
        " 2017).",
        "- Gives: probabilities over 27 conditions that sum to 1; a blank answer weighs nothing.",
        f"- Stored with: {', '.join(f'{name} {version}' for name, version in manifest['libraries'].items())}.",
        "",
    ]


def _accuracy(judged: dict[str, Any]) -> list[str]:
    rows = [
        f"| {title} | {s['log_loss']:.4f} | {s['brier']:.4f} | {s['top1']:.3f} | {s['top3']:.3f}"
        f" | {s['calibration_slope']:.3f} |"
        for title, s in (("this model", judged["model"]), ("plain naive Bayes", judged["naive_bayes"]))
    ]
    return [
        f"## On {judged['records']:,} further generated records, priors as in the catalogue",
        "",
        "These figures say how well the model learnt the generator. They say nothing about patients.",
        "",
        "| | log loss | Brier | top 1 | top 3 | slope |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
    ]


def _danger(judged: dict[str, Any]) -> list[str]:
    rows = [
        f"| {name} | {a['raise_from']:.4f} | {a['sensitivity']:.3f} | {a['sensitivity_review']:.3f}"
        f" | {a['raised_without_it']:.3f} |"
        for name, a in judged["dangerous"].items()
    ]
    return [
        "## Dangerous conditions at the thresholds of decision_costs.yaml",
        "",
        "| condition | raises from | sensitivity | sensitivity for review | raised without it |",
        "| --- | --- | --- | --- | --- |",
        *rows,
        "",
        f"Of generated records without a dangerous condition, {judged['harmless_raised']:.1%} are raised.",
        "",
    ]


def _sets(judged: dict[str, Any]) -> list[str]:
    coverage = judged["set_coverage"]
    least = min(coverage, key=lambda name: coverage[name])
    return [
        "## Cannot be excluded (prediction sets)",
        "",
        f"{judged['set_size']:.1f} conditions on average; {judged['set_holds_danger']:.1%} of sets hold a dangerous"
        f" one. Coverage by condition (aim 0.90): least {coverage[least]:.3f} ({least}),"
        f" most {max(coverage.values()):.3f}.",
        "",
    ]


def _limits() -> list[str]:
    return [
        "## Limits",
        "",
        "- Not built for people under 16, nor for use without a health professional.",
        "- The generator and the model share one catalogue, so agreement between them proves nothing about the world.",
        "- How findings come together and what forms leave blank are guesses written in generator.yaml.",
        "- No published table pairs hip findings with confirmed diagnoses in runners; outcomes of clinics have to"
        " follow.",
    ]
