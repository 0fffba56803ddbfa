"""What the page is for and not for, what the table rests on, and how far it was tested.

Belongs here: what somebody has to know before they trust a row. Every figure comes from the snapshot or the settings.
"""

from starlette.responses import Response
from starlette.routing import Route

from pipelines.console import UNSIGNED, tested
from pipelines.page.rendering import page
from pipelines.page.visit import Visit, shown_to
from schemas.forms.wording import stop_text


@shown_to("about")
def about(visit: Visit) -> Response:
    """The page about the page, for everybody who may sign in."""
    return page(
        visit,
        "about.html",
        stop=stop_text(),
        unsigned=UNSIGNED,
        evidence=tested(visit.snapshot.evidence_basis),
        training=visit.snapshot.training,
        versions=visit.snapshot.versions,
    )


routes = [Route("/about", about)]
