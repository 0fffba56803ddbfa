"""The plots of the report as inline SVG.

Belongs here: drawing figures that ``models.evaluation.evaluate`` gave. Does not belong here: computing figures, the
style of plots (``models.evaluation.svg``), and the page around them (``models.evaluation.report``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from models.evaluation.decisions import AtChosen, DecisionCurve
from models.evaluation.estimates import Estimate
from models.evaluation.reliability import Bin
from models.evaluation.svg import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, TOP, VERMILION, in_percent, plot

_POLICY_STYLES = (
    ("s", VERMILION, (0, (4, 2))),
    ("^", GREEN, (0, (1, 1.2))),
    ("D", PURPLE, (0, (6, 1.5, 1, 1.5))),
    ("v", ORANGE, (0, (3, 1, 1, 1, 1, 1))),
    ("P", SKY, (0, (8, 2))),
)
_LEAST_SHOWN = 1e-3  # on log scales smaller shares are drawn at the edge
_LOG_TICKS, _THRESHOLD_TICKS = (0.001, 0.01, 0.1, 1), (0.002, 0.01, 0.05, 0.2)
_TWO_LINES = 0.5  # inches of a legend of two lines above a plot
_BAND: dict[str, Any] = {"color": BLUE, "alpha": 0.2, "linewidth": 0}


class Line(NamedTuple):
    """One row of a dot plot."""

    words: str
    figure: Estimate | None


def reliability_plot(bins: Mapping[str, Sequence[Bin]], label: str, *, log: bool) -> str:
    """Observed share against mean predicted probability, a panel for each entry of ``bins``; log or linear axes."""
    least = _LEAST_SHOWN if log else 0.0
    with plot(label, panels=len(bins), x="mean predicted probability", y="share that had it") as (axes, done):
        for panel, (title, own) in zip(axes, bins.items(), strict=True):
            panel.plot([least, 1], [least, 1], color=GREY, linestyle="--", linewidth=0.8)
            points = [
                [max(shown, least) for shown in (b["predicted"], *_three(b["observed"]))]
                for b in own
                if b["predicted"] is not None and b["observed"] is not None
            ]
            if points:
                x, y, low, high = zip(*points, strict=True)
                panel.fill_between(x, low, high, **_BAND)
                panel.plot(x, y, color=BLUE, marker="o")
            if log:
                panel.set(xscale="log", yscale="log")
            panel.set(title=_title(title, bins), xlim=(least, 1), ylim=(least, 1.02))
            for axis in (panel.xaxis, panel.yaxis):
                in_percent(axis, _LOG_TICKS if log else ())
        return done()


def sensitivity_plot(
    curves: Mapping[str, DecisionCurve], policies: Mapping[str, tuple[Estimate | None, Estimate | None]], label: str
) -> str:
    """Sensitivity against over-triage, a panel for each curve, acting at the written costs marked with a ring.

    ``policies`` (sensitivity and over-triage by name) are marked too; give them with a single curve only.
    """
    words = "over-triage: share of people without a dangerous condition who are raised"
    with plot(label, panels=len(curves), x=words, y="sensitivity") as (axes, done):
        for panel, (title, curve) in zip(axes, curves.items(), strict=True):
            both = [(point["over_triage"], point["sensitivity"]) for point in curve["curve"]]
            points = sorted((over["value"], *_three(found)) for over, found in both if over and found)
            if points:
                x, y, low, high = zip(*points, strict=True)
                panel.fill_between(x, low, high, **_BAND)
                panel.plot(x, y, color=BLUE, marker=".", label="model, by threshold")
            _ring(panel, curve["at_chosen"])
            for (marker, colour, _), (name, (found, over)) in zip(_POLICY_STYLES, policies.items(), strict=False):
                if found and over:
                    style: dict[str, Any] = {"color": colour, "markersize": 6, "clip_on": False, "zorder": 4}
                    panel.plot(over["value"], found["value"], marker, label=name, **style)
            panel.set(title=_title(title, curves), ylim=(0, 1.02))
            panel.set_xlim(0, 1.02 if policies else None)
            for axis in (panel.xaxis, panel.yaxis):
                in_percent(axis)
            if len(curves) == 1 and panel.get_legend_handles_labels()[0]:
                panel.legend(loc="lower right")
        return done()


def _ring(panel: Axes, at: AtChosen) -> None:
    if at["sensitivity"] and at["over_triage"]:
        style: dict[str, Any] = {"markersize": 8, "markerfacecolor": "none", "markeredgecolor": BLACK, "zorder": 5}
        panel.plot(at["over_triage"]["value"], at["sensitivity"]["value"], "o", label="model, written costs", **style)


def net_benefit_plot(curves: Mapping[str, DecisionCurve], label: str) -> str:
    """Net benefit over threshold probability against acting always and never, a panel for each curve."""
    x, y = "threshold probability", "net benefit, true positives a record"
    top = _TWO_LINES if len(curves) == 1 else TOP
    with plot(label, panels=len(curves), top=top, x=x, y=y) as (axes, done):
        for panel, (title, curve) in zip(axes, curves.items(), strict=True):
            points = [point for point in curve["curve"] if point["threshold"] <= 0.5]
            at = [point["threshold"] for point in points]
            panel.axhline(0, color=BLACK, linewidth=0.8, label="never act")
            _line(panel, at, [p["treat_all"] for p in points], color=GREY, linestyle="--", label="always act")
            for (_, colour, dashes), name in zip(_POLICY_STYLES, points[0]["policies"], strict=False):
                own = [point["policies"][name] for point in points]
                _line(panel, at, own, color=colour, linestyle=dashes, label=name)
            own = [point["net_benefit"] for point in points]
            _line(panel, at, own, color=BLUE, marker=".", label="model")
            if curve["chosen"] is not None:
                panel.axvline(curve["chosen"], color=BLACK, linestyle=":", linewidth=1)
            most = max([shown["value"] for shown in own if shown], default=0.0)
            panel.set(ylim=(-0.25 * max(most, 1e-4), 1.2 * max(most, 1e-4)), xscale="log", xlim=(at[0], at[-1]))
            panel.set_title(_title(title, curves))
            in_percent(panel.xaxis, _THRESHOLD_TICKS)
            if len(curves) == 1:
                panel.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
        return done()


def _line(panel: Axes, x: Sequence[float], figures: Sequence[Estimate | None], **style: Any) -> None:
    drawn = [(at, shown["value"]) for at, shown in zip(x, figures, strict=True) if shown]
    if drawn:
        panel.plot([at for at, _ in drawn], [value for _, value in drawn], **style)


def dot_plot(lines: Sequence[Line], label: str, axis: str, *, aim: float | None = None, percent: bool = True) -> str:
    """Figures with intervals in rows, top to bottom as given; ``aim`` is drawn as a dashed line."""
    with plot(label, height=0.8 + 0.19 * len(lines), left=2.2, x=axis) as (axes, done):
        panel = axes[0]
        for position, (_, figure) in enumerate(lines):
            if figure is not None:
                value, low, high = _three(figure)
                panel.plot([low, high], [position, position], color=BLUE, linewidth=1.2)
                panel.plot(value, position, "o", color=BLUE)
        if aim is not None:
            panel.axvline(aim, color=VERMILION, linestyle="--", linewidth=1)
        panel.set_yticks(range(len(lines)), [line.words for line in lines])
        panel.set_ylim(len(lines) - 0.4, -0.6)
        if percent:
            in_percent(panel.xaxis)
        return done()


def learning_plot(points: Sequence[tuple[int, Estimate]], label: str) -> str:
    """Log loss against the number of training records (log scale), with its band where intervals are known."""
    with plot(label, height=2.4, x="records learnt from", y="log loss (nats)") as (axes, done):
        panel, x = axes[0], [n for n, _ in points]
        y, low, high = zip(*(_three(loss) for _, loss in points), strict=True)
        panel.fill_between(x, low, high, **_BAND)
        panel.plot(x, y, color=BLUE, marker="o")
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(FixedLocator(x))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
        return done()


def _three(figure: Estimate) -> tuple[float, float, float]:
    value, low, high = figure["value"], figure["low"], figure["high"]
    return value, value if low is None else low, value if high is None else high


def _title(title: str, panels: Mapping[str, Any]) -> str:
    return title.replace("_", " ") if len(panels) > 1 else ""
