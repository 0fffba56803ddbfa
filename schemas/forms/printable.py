"""The form as printed pages: one HTML file that needs nothing else, the runner's sheet and the clinician's apart.

Belongs here: what the template needs. Does not belong here: layout on paper (``printable.html.jinja``), the order of
questions (``schemas.forms.layout``).
"""

from __future__ import annotations

from importlib import resources

import jinja2

from schemas.form import FREE_TEXT_COLUMN, form_digest
from schemas.forms.layout import sheet, title
from schemas.forms.wording import AUDIENCES, Audience, stop_text, wording


def printable(audiences: tuple[Audience, ...] = AUDIENCES, number: str | None = None) -> str:
    """The sheets of ``audiences`` as one HTML page for A4 paper: inline styles, no script, nothing to load.

    ``number``: the clinic's emergency number for the stop text; None for the general words. The same arguments give
    the same text.
    """
    source = resources.files("schemas.forms").joinpath("printable.html.jinja").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source).render(
        sheets=[sheet(audience) for audience in audiences],
        stop=stop_text(),
        wording=wording(),
        number=number,
        title=title,
        free_text=FREE_TEXT_COLUMN,
        version=form_digest()[:12],
    )
