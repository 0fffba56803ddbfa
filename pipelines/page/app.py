"""The application: its routes and what stands around them.

Belongs here: putting the parts together. Each page is a module of its own with a list ``routes``.
"""

from importlib import resources

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipelines.page import worklist
from warehouse.home import Home

# Files that are served, each by its name here and no other: no request chooses a path.
STATIC = {"style.css": "text/css"}


def create_app(home: Home) -> Starlette:
    """The page over one home's current snapshot. Reads settings at each request, so that they hold at once."""
    app = Starlette(routes=[*worklist.routes, *_static()])
    app.state.home = home
    return app


def _static() -> list[Route]:
    return [Route(f"/static/{name}", _served(name, kind)) for name, kind in STATIC.items()]


def _served(name: str, kind: str) -> object:
    content = resources.files("pipelines.page").joinpath("static", name).read_bytes()

    def serve(_: Request) -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "max-age=3600"})

    return serve
