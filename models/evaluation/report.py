"""The evaluation of a model as one HTML page that needs nothing else.

Belongs here: which figures and plots stand under which heading. Does not belong here: computing figures
(``models.evaluation.evaluate``), drawing (``models.evaluation.plots``), the page's layout (``report.html.jinja``).

Headings follow what TRIPOD+AI (Collins and others 2024), DECIDE-AI (Vasey and others 2022) and model cards (Mitchell
and others 2019) ask to stand beside a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from models.condition_groups import condition_groups
from models.evaluation import plots, statements, wording
from models.evaluation.decisions import ANY, HARMLESS
from models.evaluation.evaluate import FIRST_NAMED

_SHADES = 5  # steps of grey-blue behind the cells of the confusion table


def report_html(manifest: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """The report page of one model: UTF-8 HTML with inline styles and plots, no script and nothing to load.

    Takes the model's manifest and its evaluation as ``models.evaluation.evaluate`` gives it, or as read back from JSON.
    Parts that either lacks are said to be not measured. The same arguments give the same text.
    """
    source = resources.files("models.evaluation").joinpath("report.html.jinja").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "figure": wording.figure,
        "number": wording.number,
        "plain": wording.plain,
        "records": wording.records,
    }
    known = {key: evaluation[key] for key in _PARTS if evaluation.get(key)}
    return environment.from_string(source).render(
        {**dict.fromkeys(_PARTS), **known},
        manifest=manifest,
        say=statements,
        standing=statements.standing(dict(manifest)),
        learnt_from=statements.learnt_from(dict(manifest)),
        method=statements.method(dict(manifest)),
        versions=statements.versions(dict(manifest)),
        plots={name: Markup(svg) for name, svg in _plots(known).items()},  # noqa: S704 - our own drawing, escaped there
        group_titles={name: group.title for name, group in condition_groups().items()},
        shade=_shade,
        mistaken=_mistaken,
        any_dangerous=ANY,
        harmless=HARMLESS,
        first_named=FIRST_NAMED,
    )


_PARTS = (
    "tested_on",
    "n",
    "by_condition_from",
    "by_condition_n",
    "intervals",
    "least_records",
    "least_cell",
    "scores",
    "reliability",
    "confusion",
    "decisions",
    "tiers",
    "coverage",
    "learning_curve",
    "subgroups",
    "worlds",
)


def _plots(known: Mapping[str, Any]) -> dict[str, str]:
    drawn: dict[str, str] = {}
    if "reliability" in known:
        first = {FIRST_NAMED: known["reliability"][FIRST_NAMED]}
        single = {name: bins for name, bins in known["reliability"].items() if name != FIRST_NAMED}
        words = "observed share against predicted probability with Wilson bands"
        drawn["reliability"] = plots.reliability_plot(first, f"Condition named first: {words}", log=False)
        drawn["reliability_dangerous"] = plots.reliability_plot(single, f"Dangerous conditions: {words}", log=True)
    if "decisions" in known:
        drawn |= _decision_plots(known["decisions"], known.get("tiers", {}))
    if "coverage" in known:
        lines = [plots.Line(wording.plain(name), f["covered"]) for name, f in known["coverage"]["by_condition"].items()]
        label = "Share of records whose prediction set holds the true condition, by condition, with intervals"
        drawn["coverage"] = plots.dot_plot(lines, label, "prediction set holds it", aim=known["coverage"]["aim"])
    if "learning_curve" in known:
        points = [(point["n"], point["log_loss"]) for point in known["learning_curve"]]
        drawn["learning_curve"] = plots.learning_plot(points, "Log loss against the number of records learnt from")
    if "subgroups" in known:
        lines = [
            plots.Line(f"{wording.plain(grouping)}: {name}", figures and figures["log_loss"])
            for grouping, by_name in known["subgroups"].items()
            for name, figures in by_name.items()
        ]
        label = "Log loss by subgroup with intervals"
        drawn["subgroups"] = plots.dot_plot(lines, label, "log loss (nats)", percent=False)
    return drawn


def _decision_plots(decisions: Mapping[str, Any], tiers: Mapping[str, Any]) -> dict[str, str]:
    whole = {ANY: decisions[ANY]}
    single = {name: curve for name, curve in decisions.items() if name != ANY}
    policies = {
        name: (given["urgent_or_faster"][ANY], given["urgent_or_faster"][HARMLESS]) for name, given in tiers.items()
    }
    found, worth = "sensitivity against over-triage", "net benefit over threshold probability"
    return {
        "sensitivity": plots.sensitivity_plot(whole, policies, f"Any dangerous condition: {found}"),
        "sensitivity_single": plots.sensitivity_plot(single, {}, f"Each dangerous condition: {found}"),
        "net_benefit": plots.net_benefit_plot(whole, f"Any dangerous condition: {worth}"),
        "net_benefit_single": plots.net_benefit_plot(single, f"Each dangerous condition: {worth}"),
    }


def _shade(share: float | None) -> int:
    """The step of shading behind a share: 0 is none."""
    return 0 if share is None else min(_SHADES, int(share * _SHADES + 0.9))


def _mistaken(name: str, shares: Mapping[str, float | None]) -> list[tuple[str, float]]:
    """The three conditions most often named first instead of ``name``, with their shares."""
    others = [(other, share) for other, share in shares.items() if other != name and share]
    return sorted(others, key=lambda pair: (-pair[1], pair[0]))[:3]
