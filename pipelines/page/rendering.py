"""Templates: one environment, the words and times that every page shares, and what stands above each page.

Belongs here: the frame of a page. Does not belong here: what a page shows in it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from models.wording import rule_in_a_sentence
from pipelines.console import (
    INTENDED_USE,
    KIND_WORDS,
    TIER_WORDS,
    UNSIGNED,
    basis_sentence,
    kept_sentence,
    local,
    words,
)
from pipelines.page.durations import ago, until
from pipelines.page.security.asking import form_token
from pipelines.page.visit import Visit

# What stands across a page whose records are nobody who waits, beside the sentence that says so.
ACROSS = {"sample": "SAMPLE DATA", "published_case": "PUBLISHED CASES"}


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence above the page. ``level``: red (act on it), sample (across the page), plain."""

    level: Literal["red", "sample", "plain"]
    text: str


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipelines.page"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "words": words,
        "local": local,
        "ago": ago,
        "until": until,
        "tier_words": TIER_WORDS.__getitem__,
        "without_criterion": rule_in_a_sentence,
        "capital": lambda text: f"{text[:1].upper()}{text[1:]}",
    }
    environment.globals["intended_use"] = INTENDED_USE
    return environment


ENVIRONMENT = _environment()


def page(visit: Visit, template: str, *, status: int = 200, **shown: Any) -> HTMLResponse:
    """A page from a template; ``shown`` is what it calls by name beside visit, notices and form_token."""
    text = ENVIRONMENT.get_template(template).render(
        visit=visit,
        notices=list(notices(visit)),
        across=" ".join(ACROSS[kind] for kind in _kinds(visit) if kind in ACROSS),
        form_token=form_token(visit.request),
        **shown,
    )
    return HTMLResponse(text, status_code=status)


def bare_page(
    template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **shown: Any
) -> HTMLResponse:
    """A page without snapshot or person: signing in, and what is refused."""
    return HTMLResponse(ENVIRONMENT.get_template(template).render(status=status, **shown), status, headers)


def notices(visit: Visit) -> Iterator[Notice]:
    """What stands above every page: age, what was held, a banner, kind of data, what the order rests on."""
    snapshot = visit.snapshot
    if snapshot.stale:
        hours, made = visit.settings.stale_hours, ago(snapshot.published_at, visit.now)
        yield Notice("red", f"STALE: this table was made {made}, not within {hours:g} hours; new forms are not in it.")
    if snapshot.banner:
        yield Notice("red", snapshot.banner)
    if kept := sum(map(snapshot.kept, _shown_clinics(visit))):
        yield Notice("red", kept_sentence(kept))
    for kind in _kinds(visit):
        if kind in KIND_WORDS:
            yield Notice("sample", KIND_WORDS[kind])
    yield Notice("plain", basis_sentence(snapshot))
    yield Notice("plain", UNSIGNED)


def _shown_clinics(visit: Visit) -> tuple[str, ...]:
    return (visit.clinic,) if visit.clinic else visit.clinics


def _kinds(visit: Visit) -> list[str]:
    return sorted({kind for clinic in _shown_clinics(visit) for kind in visit.snapshot.data_kinds(clinic)})
