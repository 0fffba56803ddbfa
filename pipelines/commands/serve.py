"""``hiptriage serve``: the clinicians' page."""

import click

from pipelines.outcomes import REFUSED, Ended, plain_ends
from warehouse.home import Home

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
def serve(host: str, port: int) -> None:
    """Serve the clinicians' page over the current snapshot.

    For a health professional's decision, never in its place; not for patients to use alone.
    """
    import uvicorn

    from pipelines.page.app import create_app

    with plain_ends():
        home = Home.from_environment()
        home.settings()
        if host not in LOOPBACK:
            raise Ended(REFUSED, "the page listens beyond this machine only where the settings name people")
        uvicorn.run(create_app(home), host=host, port=port, access_log=False, log_level="warning", server_header=False)
