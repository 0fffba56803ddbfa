"""An empty plot in the report's style, and its SVG text.

Belongs here: size, style, panels and bytes of a plot. Does not belong here: what is drawn
(``models.evaluation.plots``).

The same drawing gives the same bytes: fixed seed of the ids, no date, library defaults instead of the user's settings.
Colours are those of Okabe and Ito, told apart with any colour vision; markers and dashes differ too, for grey prints.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

BLACK, GREY, BLUE, VERMILION = "#000000", "#767676", "#0072B2", "#D55E00"
GREEN, PURPLE, ORANGE, SKY = "#009E73", "#CC79A7", "#E69F00", "#56B4E9"

_WIDTH, _PANEL = 7.2, 1.8  # inches of a whole plot, and of the height of one of several panels
_BOTTOM, _RIGHT = 0.5, 0.3
TOP = 0.25  # inches above a plot without a legend there
_PANELS_A_ROW = 3
_FONT_SIZE = 8.5
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": _FONT_SIZE,
    "axes.titlesize": _FONT_SIZE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


@contextmanager
def plot(
    label: str, *, panels: int = 1, height: float = 3.4, left: float = 0.7, top: float = TOP, x: str = "", y: str = ""
) -> Iterator[tuple[list[Axes], Callable[[], str]]]:
    """``panels`` empty axes and a function that gives the SVG of what was drawn on them.

    ``label`` is the alternative text and differs between the plots of one page; ``x`` and ``y`` name the axes.
    ``height`` (of a single panel) and the margins ``left`` (for words at the ticks) and ``top`` (for a legend) are in
    inches. Matplotlib's settings are as before afterwards.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        # Ids inside one page must differ between plots, and be the same at every run.
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": label})
        columns = min(panels, _PANELS_A_ROW)
        rows = -(-panels // columns)
        height = height if panels == 1 else rows * _PANEL + _BOTTOM + top
        figure = Figure(figsize=(_WIDTH, height))
        every = [panel for row in figure.subplots(rows, columns, squeeze=False) for panel in row]
        # Margins in inches instead of a layout engine: this draws every plot once, not three times.
        figure.subplots_adjust(
            left=left / _WIDTH, right=1 - _RIGHT / _WIDTH, bottom=_BOTTOM / height, top=1 - top / height, wspace=0.32
        )
        if rows > 1:
            figure.subplots_adjust(hspace=0.45)
        for spare in every[panels:]:
            spare.set_visible(False)
        middle = (left + _WIDTH - _RIGHT) / 2 / _WIDTH
        figure.text(middle, 0.06 / height, x, ha="center", va="bottom")
        figure.text(0.06 / _WIDTH, 0.5, y, ha="left", va="center", rotation="vertical")
        yield every[:panels], lambda: _svg(figure, label)


def in_percent(axis: Axis, ticks: Sequence[float] = ()) -> None:
    """Write the shares on an axis as percentages, at ``ticks`` only if any are given."""
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    if ticks:
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())


def _svg(figure: Figure, label: str) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawn = out.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    # Names of groups repeat in every figure; ids must be unique in the page that the plots are put into.
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
