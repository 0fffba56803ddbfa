"""The worklist page: forms that could not be read first, then who comes first, by when, and why."""

from starlette.responses import Response
from starlette.routing import Route

from pipelines.page.rendering import page
from pipelines.page.visit import Visit, shown_to


@shown_to("worklist")
def worklist(visit: Visit) -> Response:
    """The worklist of one clinic, or of all clinics of the person."""
    with visit.reading() as connection:
        result = connection.execute("SELECT * FROM worklist ORDER BY place LIMIT 50")
        columns = [column[0] for column in result.description]
        rows = [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
    return page(visit, "worklist.html", rows=rows)


routes = [Route("/", worklist)]
