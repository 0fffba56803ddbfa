"""Templates: one environment, the words and times that every page shares, and what stands above each page.

Belongs here: the frame of a page. Does not belong here: what a page shows in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from pipelines.console import KIND_WORDS, TIER_WORDS, UNSIGNED, basis_sentence, kept_sentence, local, words
from pipelines.page.asking import form_token
from pipelines.page.visit import Visit

INTENDED_USE = (
    "For health professionals, to support a decision and never to replace it. Not for patients to use alone, and "
    "nobody reads a form in real time."
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence above the page. ``level``: red (act on it), sample (across the page), plain."""

    level: Literal["red", "sample", "plain"]
    text: str


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipelines.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"words": words, "local": _local, "tier_words": TIER_WORDS.__getitem__}
    environment.globals["intended_use"] = INTENDED_USE
    return environment


def _local(moment: datetime | None, at: ZoneInfo) -> str:
    return local(moment, at)


ENVIRONMENT = _environment()


def page(visit: Visit, template: str, *, status: int = 200, **shown: Any) -> HTMLResponse:
    """A page from a template; ``shown`` is what it calls by name beside visit, notices and form_token."""
    text = ENVIRONMENT.get_template(template).render(
        visit=visit, notices=list(notices(visit)), form_token=form_token(visit.request), **shown
    )
    return HTMLResponse(text, status_code=status)


def notices(visit: Visit) -> Iterator[Notice]:
    """What stands above every page: age, what was held, a banner, kind of data, what the order rests on."""
    snapshot, clinic = visit.snapshot, visit.clinic
    if snapshot.stale:
        hours = visit.settings.stale_hours
        yield Notice("red", f"STALE: this table is more than {hours:g} hours old; new forms are not in it.")
    if snapshot.banner:
        yield Notice("red", snapshot.banner)
    if kept := snapshot.kept(clinic):
        yield Notice("red", kept_sentence(kept))
    for kind in snapshot.data_kinds(clinic):
        if kind in KIND_WORDS:
            yield Notice("sample", KIND_WORDS[kind])
    yield Notice("plain", basis_sentence(snapshot))
    yield Notice("plain", UNSIGNED)
