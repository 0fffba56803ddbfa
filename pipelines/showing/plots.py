"""What an analyst wants to see in place: plots of counts, as markdown for an asset's metadata.

Belongs here: drawing counts and findings, each with the same in a table. Does not belong here: counting
(``warehouse.monitoring``), comparing (``models.monitoring``), the style of a picture (``pipelines.showing.pictures``).
Pure functions; every count of people passes ``models.monitoring.suppression`` here, so that none can be drawn past it.

Imports matplotlib: whoever only defines assets imports this late.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from models.evaluation.reliability import Bin
from models.evaluation.svg import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, in_percent
from models.monitoring.findings import Finding
from models.monitoring.limits import signature
from models.monitoring.suppression import HIDDEN, in_words, suppressed, suppressed_counts
from pipelines.showing.pictures import picture, section, table
from schemas.tiers import tiers

_TIER_COLOURS = dict(zip(tiers(), (VERMILION, ORANGE, PURPLE, SKY, BLUE, GREY), strict=True))
_MOST_ROWS, _MOST_WEEKS = 15, 26
_HIDDEN_CELLS = f"Counts of {HIDDEN} are hidden, and others where a hidden one could be worked out from them."
_NOTHING = "Nothing to show yet."

Counts = Mapping[str, Mapping[str, int]]
Shown = dict[str, dict[str, int | None]]


def tiers_over_time(by_clinic: Mapping[str, Mapping[date, Mapping[str, int]]]) -> str:
    """Forms by week of arrival and the tier they came to first, of all clinics together; by month where few."""
    weeks: dict[date, dict[str, int]] = {}
    for week in sorted({week for of_clinic in by_clinic.values() for week in of_clinic}):
        of_week = [of_clinic.get(week, {}) for of_clinic in by_clinic.values()]
        weeks[week] = {tier: sum(counts.get(tier, 0) for counts in of_week) for tier in tiers()}
    title = "Tiers over time"
    if not weeks:
        return section(title, _NOTHING)
    period, shown = _shown_over_time(weeks, suppressed)
    with picture(f"Forms by {period}, in a colour for each tier; the table below says the same.") as (axes, done):
        below = np.zeros(len(shown))
        for tier, colour in _TIER_COLOURS.items():
            heights = np.array([row[tier] or 0 for row in shown.values()], float)
            axes.bar(list(shown), heights, bottom=below, color=colour, label=tier, width=0.8)
            below += heights
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1, 0.5))
        _over_time(axes, len(shown))
        drawn = done()
    return section(title, drawn, _counts_table(period, shown, list(tiers())), _HIDDEN_CELLS)


def refusals(by_clinic: Counts) -> str:
    """Forms that could not be read, by clinic and code. Each clinic is hidden by itself: nobody adds up across."""
    title = "Quarantine codes by clinic"
    if not any(by_clinic.values()):
        return section(title, _NOTHING)
    codes = sorted({code for counts in by_clinic.values() for code in counts})
    shown = {
        clinic: suppressed_counts({code: counts.get(code, 0) for code in codes}) for clinic, counts in by_clinic.items()
    }
    common = [code for code in codes if any(row[code] is not None for row in shown.values())]
    rare = [code for code in codes if code not in common]
    words = f"A form counts once for each of its codes. {_HIDDEN_CELLS}"
    if rare:
        words = f"Codes of few forms: {', '.join(rare)}. {words}"
    if not common:
        return section(title, words)
    shown = {clinic: {code: row[code] for code in common} for clinic, row in shown.items()}
    drawn = _heat(shown, common, "Refused forms by clinic and code; the table below says the same.")
    return section(title, drawn, _counts_table("clinic", shown, common), words)


def changes(before_to_after: Counts) -> str:
    """Records by effective tier in the snapshot before (rows) and in the current one (columns)."""
    title = "What changed since the last snapshot"
    if not before_to_after:
        return section(title, "There is no earlier snapshot to compare with.")
    order = [
        *tiers(),
        *({name for row in before_to_after.values() for name in (*row, *before_to_after)} - set(tiers())),
    ]
    shown = suppressed({b: {a: before_to_after.get(b, {}).get(a, 0) for a in order} for b in order})
    drawn = _heat(shown, order, "Records by tier before (rows) and after (columns); the table below says the same.")
    return section(title, drawn, _counts_table("before / after", shown, order), _HIDDEN_CELLS)


def drift(by_clinic: Mapping[str, Sequence[Finding]], tier_findings: Sequence[Finding]) -> str:
    """The questions whose answers moved farthest, and the tiers, each by clinic. Distances, no counts."""
    title = "Drift of answers and tiers"
    far = [
        (f"{clinic}: {finding.subject}", finding)
        for clinic, findings in by_clinic.items()
        for finding in findings
        if "distance" in finding.figures
    ]
    far += [(f"{finding.subject}: tier", finding) for finding in tier_findings if "distance" in finding.figures]
    few = [clinic for clinic, findings in by_clinic.items() if not findings]
    said = f"Too few forms to say: {', '.join(few)}." if few else ""
    if not far:
        return section(title, said or _NOTHING)
    far.sort(key=lambda entry: (not entry[1].called_out, -entry[1].figures["distance"]))
    far = far[:_MOST_ROWS]
    with picture("Distance of recent answers from earlier ones; the table below says the same.", height=3.6) as drawing:
        axes, done = drawing
        colours = [VERMILION if finding.called_out else BLUE for _, finding in far]
        names, reached = [name for name, _ in far], [finding.figures["distance"] for _, finding in far]
        axes.barh(names, reached, color=colours, height=0.6)
        axes.invert_yaxis()
        axes.set_xlabel("Jensen-Shannon distance, 0 the same, 1 nothing in common")
        axes.grid(axis="x")
        drawn = done()
    rows = [[name, f"{finding.figures['distance']:.2f}", finding.state.replace("_", " ")] for name, finding in far]
    return section(title, drawn, table(["what", "distance", "state"], rows), said, signature().capitalize() + ".")


def arrivals(by_clinic: Mapping[str, Mapping[date, int]]) -> str:
    """Forms by clinic and week of arrival (its Monday), by month where few. Each clinic is hidden by itself."""
    title = "Arrivals by clinic"
    weeks = sorted({week for counts in by_clinic.values() for week in counts})
    if not weeks:
        return section(title, _NOTHING)
    period, shown = _shown_over_time(
        {week: {clinic: counts.get(week, 0) for clinic, counts in by_clinic.items()} for week in weeks}, _each_column
    )
    with picture(f"Forms of each clinic by {period}; the table below says the same.") as (axes, done):
        for place, clinic in enumerate(by_clinic):
            colour = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)[place % 7]
            heights = [np.nan if row[clinic] is None else float(row[clinic] or 0) for row in shown.values()]
            axes.plot(list(shown), heights, color=colour, marker="osD^vPX"[place % 7], markersize=4, label=clinic)
        axes.set_ylim(bottom=0)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        _over_time(axes, len(shown))
        drawn = done()
    return section(title, drawn, _counts_table(period, shown, list(by_clinic)), _HIDDEN_CELLS)


def reliability(bins: Sequence[Bin], title: str, about: str) -> str:
    """Observed share against predicted probability. ``about``: one sentence on whom the bins are made of."""
    known = [
        (b["low"], b["high"], b["predicted"], b["observed"])
        for b in bins
        if b["predicted"] is not None and b["observed"] is not None
    ]
    if not known:
        return section(title, about)
    with picture(
        "Share that had the condition against the probability given; the table below says the same."
    ) as drawing:
        axes, done = drawing
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        x, y = [predicted for *_, predicted, _ in known], [observed["value"] for *_, observed in known]
        low, high = ([float(observed[end] or 0) for *_, observed in known] for end in ("low", "high"))
        axes.errorbar(x, y, yerr=[np.subtract(y, low), np.subtract(high, y)], color=BLUE, marker="o", markersize=4)
        axes.set(xlabel="mean predicted probability", ylabel="share that had it", xlim=(0, 1), ylim=(0, 1))
        for axis in (axes.xaxis, axes.yaxis):
            in_percent(axis)
        axes.grid()
        drawn = done()
    rows = [
        [f"{low:.1%} to {high:.1%}", f"{p:.1%}", f"{o['value']:.1%}", f"{o['low'] or 0:.1%} to {o['high'] or 0:.1%}"]
        for low, high, p, o in known
    ]
    return section(title, drawn, table(["given", "mean", "had it", "95 % interval"], rows), about)


def confusion(by_condition: Mapping[str, Mapping[str, float | None]], about: str) -> str:
    """By true condition (rows) the share named first (columns); None where too few records stand behind a share."""
    title = "Confusion: true condition against the one named first"
    names = sorted(by_condition)
    shares = np.array([[by_condition[name].get(other) or 0.0 for other in names] for name in names], float)
    with picture(
        "True condition against the one named first; the table below lists the commonest.", height=6.4
    ) as drawing:
        axes, done = drawing
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        words = [name.replace("_", " ") for name in names]
        axes.set_xticks(range(len(names)), words, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), words, fontsize=7)
        axes.set(xlabel="named first", ylabel="true")
        drawn = done()
    wrong = [(shares[i, j], names[i], names[j]) for i in range(len(names)) for j in range(len(names)) if i != j]
    rows = [
        [f"{true} taken for {other}".replace("_", " "), f"{part:.0%}"]
        for part, true, other in sorted(wrong)[::-1]
        if part
    ]
    return section(title, drawn, table(["mistake", "share of the true ones"], rows[:_MOST_ROWS]), about)


def of_model(evaluation: Mapping[str, object]) -> dict[str, str]:
    """Reliability and confusion of a model as its evaluation says them, by name of the metadata entry.

    ``evaluation``: the content of a model's ``evaluation.json`` (``models.evaluation.evaluate``).
    """
    about = f"Tested on {evaluation['tested_on']}; no patient's record."
    bins, confused = evaluation["reliability"], evaluation["confusion"]
    assert isinstance(bins, Mapping) and isinstance(confused, Mapping)  # noqa: S101 - the shape that evaluate gives
    shares = {name: said["shares"] for name, said in confused.items()}
    return {
        "reliability": reliability(bins["condition named first"], "Reliability of the condition named first", about),
        "confusion": confusion(shares, about),
    }


def _shown_over_time(
    weeks: Mapping[date, Mapping[str, int]], hide: Callable[[Mapping[str, Mapping[str, int]]], Shown]
) -> tuple[str, Shown]:
    """What a row stands for, and what is shown: weeks, or months where weeks would hide half of the forms."""
    months: dict[str, dict[str, int]] = {}
    for week, counts in weeks.items():
        of_month = months.setdefault(f"{week:%Y-%m}", dict.fromkeys(counts, 0))
        for name, n in counts.items():
            of_month[name] += n
    last = list(weeks)[-_MOST_WEEKS:]
    by_week = hide({week.isoformat(): weeks[week] for week in last})
    if 2 * _sum(by_week) >= sum(n for week in last for n in weeks[week].values()):
        return "week of arrival, from", by_week
    return "month of arrival (weeks that began in it)", hide(months)


def _each_column(counts: Mapping[str, Mapping[str, int]]) -> Shown:
    """Counts of things that nobody adds up across: each column is hidden by itself."""
    columns = list(next(iter(counts.values())))
    alone = {column: suppressed_counts({name: row[column] for name, row in counts.items()}) for column in columns}
    return {name: {column: alone[column][name] for column in columns} for name in counts}


def _sum(shown: Shown) -> int:
    return sum(n or 0 for row in shown.values() for n in row.values())


def _over_time(axes: Axes, places: int) -> None:
    axes.set_ylabel("forms")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(axis="x", rotation=90 if places > 8 else 0)
    axes.grid(axis="y")


def _counts_table(corner: str, shown: Shown, columns: Sequence[str]) -> str:
    return table([corner, *columns], [[name, *(in_words(row[c]) for c in columns)] for name, row in shown.items()])


def _heat(shown: Shown, columns: Sequence[str], alternative: str) -> str:
    """A grid of counts; hidden cells are hatched."""
    values = np.array([[row[column] or 0 for column in columns] for row in shown.values()], float)
    with picture(alternative, height=1.6 + 0.28 * len(shown)) as (axes, done):
        axes.imshow(values, cmap="Blues", aspect="auto", vmin=0, vmax=max(values.max(), 1) * 1.25)
        axes.set_xticks(range(len(columns)), columns, rotation=35 if len(columns) > 4 else 0, ha="right")
        axes.set_yticks(range(len(shown)), list(shown))
        _write_cells(axes, shown, columns, values)
        return done()


def _write_cells(axes: Axes, shown: Shown, columns: Sequence[str], values: np.ndarray) -> None:
    for i, row in enumerate(shown.values()):
        for j, column in enumerate(columns):
            text, dark = (
                ("·", False) if row[column] is None else (in_words(row[column]), values[i, j] > 0.6 * values.max())
            )
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
