"""The card that goes with a stored model: what it is, what it learnt from, how good it was, what it is not.

Belongs here: the short form of the report (``models.evaluation.report``), as Markdown under the same headings. Does not
belong here: computing figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from models.evaluation import statements
from models.evaluation.decisions import ANY, HARMLESS
from models.evaluation.wording import figure, number, plain


def card_text(manifest: dict[str, Any], evaluation: Mapping[str, Any] | None = None) -> str:
    """The card as Markdown, every figure taken from ``manifest`` and ``evaluation``.

    ``evaluation`` is what ``models.evaluation.evaluate`` gives; by default the manifest's own. Whole parts that are
    missing are said to be not measured.
    """
    judged = evaluation if evaluation is not None else manifest.get("evaluation", {})
    sections = {
        "Intended use": _list(statements.INTENDED_USE),
        "What it is not for": _list(statements.NOT_FOR),
        "Data it learnt from": _list(statements.learnt_from(manifest)),
        "Candidates and the rule of selection": [*_list(statements.method(manifest)), "", *_worlds(judged)],
        "Accuracy beside baselines": _accuracy(judged),
        "Tiers: sensitivity and over-triage": _tiers(judged),
        "Dangerous conditions at the written cost ratios": _dangerous(judged),
        "Coverage of what cannot be excluded": _coverage(judged),
        "Limits and known failures": _list(statements.LIMITS),
        "Versions and hashes": _list(f"{what}: {version}" for what, version in statements.versions(manifest).items()),
    }
    head = [f"# Model {manifest.get('model_version', 'without version')}", ""]
    head += [f"{statements.standing(manifest)} {statements.UNSIGNED} {statements.NO_PROOF}", ""]
    head += ["Reliability, confusion, curves and subgroups stand in the report of the same model.", ""]
    body = [line for title, lines in sections.items() for line in (f"## {title}", "", *lines, "")]
    return "\n".join([*head, *body]).rstrip() + "\n"


def _worlds(judged: Mapping[str, Any]) -> list[str]:
    if not judged.get("worlds"):
        return [statements.NOT_MEASURED]
    rows = [
        [plain(name), number(own["mean"], "loss"), number(own["worst"], "loss")]
        for name, own in judged["worlds"].items()
    ]
    return _table(["log loss on held-back worlds", "mean", "worst"], rows)


def _accuracy(judged: Mapping[str, Any]) -> list[str]:
    if not judged.get("scores"):
        return [statements.NOT_MEASURED]
    styles = {"log_loss": "loss", "brier": "loss", "top1": "share", "top3": "share", "calibration_slope": "loss"}
    rows = [
        [plain(name), *(figure(own[key], style, with_n=False) for key, style in styles.items())]
        for name, own in judged["scores"].items()
    ]
    return [
        *_tested(judged),
        "",
        *_table(["", "log loss (nats)", "Brier", "named first", "among the first three", "slope"], rows),
    ]


def _tested(judged: Mapping[str, Any]) -> list[str]:
    about = f" {statements.ABOUT_GENERATED}" if "generated" in judged["tested_on"] else ""
    return [f"On {judged['n']:,} {judged['tested_on']}; 95 % intervals.{about}"]


def _tiers(judged: Mapping[str, Any]) -> list[str]:
    if not judged.get("tiers"):
        return [statements.NOT_MEASURED]
    rows = [
        [
            plain(policy),
            figure(own["urgent_or_faster"][ANY]),
            figure(own["urgent_or_faster"][HARMLESS]),
            figure(own["same_day_or_faster"][ANY]),
        ]
        for policy, own in judged["tiers"].items()
    ]
    return _table(["", "sensitivity, urgent or faster", "over-triage", "sensitivity, same day or faster"], rows)


def _dangerous(judged: Mapping[str, Any]) -> list[str]:
    if not judged.get("decisions"):
        return [statements.NOT_MEASURED]
    rows = [
        [
            plain(name),
            number(own["chosen"], "threshold") if own["chosen"] else "each its own",
            figure(own["at_chosen"]["sensitivity"]),
            figure(own["at_chosen"]["over_triage"]),
        ]
        for name, own in judged["decisions"].items()
    ]
    return _table(["condition", "acts from", "sensitivity", "over-triage"], rows)


def _coverage(judged: Mapping[str, Any]) -> list[str]:
    coverage = judged.get("coverage")
    if not coverage:
        return [statements.NOT_MEASURED]
    aim = f"Stated coverage {number(coverage['aim'])}. " if coverage["aim"] else ""
    shown = {name: own["covered"] for name, own in coverage["by_condition"].items() if own["covered"]}
    text = f"{aim}All records: {figure(coverage['overall']['covered'])}; conditions in a set:"
    text += f" {figure(coverage['overall']['set_size'], 'loss')}."
    if shown:
        least, most = (pick(shown, key=lambda name: shown[name]["value"]) for pick in (min, max))
        text += f" By condition: least {figure(shown[least])}, {plain(least)}; most {figure(shown[most])},"
        text += f" {plain(most)}."
    return [text]


def _list(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    return [line.replace("\u00a0", " ") for line in lines]
