"""A plot as markdown that Dagster's pages show in place, and a table beside it that says the same in words.

Belongs here: size, style and text of a picture. Does not belong here: what is drawn (``pipelines.showing.plots``). The
background is white whatever the page's is, so that a picture can be read on a dark page too; colours and fonts are
those of the evaluation report (``models.evaluation.svg``).
"""

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

_WIDTH, _DPI = 7.2, 96  # inches, dots an inch
_COLOURS = 32  # as many as these plots need; a picture is kept with every materialisation and should stay small
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


@contextmanager
def picture(alternative: str, *, height: float = 2.8) -> Iterator[tuple[Axes, Callable[[], str]]]:
    """Empty axes, ``height`` inches high, and a function that gives what was drawn on them as markdown.

    ``alternative``: one sentence for who cannot see it. Matplotlib's settings are as before afterwards.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white", layout="constrained")
        yield figure.subplots(), lambda: _markdown(figure, alternative)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; the first column is text, the others stand to the right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def section(title: str, *parts: str) -> str:
    """Markdown of one plot: its title, and the parts below each other; empty parts are left out."""
    return "\n\n".join([f"### {title}", *(part for part in parts if part)])


def _markdown(figure: Figure, alternative: str) -> str:
    drawn, out = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(_COLOURS).save(out, format="PNG", optimize=True)
    return f"![{alternative}](data:image/png;base64,{base64.b64encode(out.getvalue()).decode('ascii')})"
