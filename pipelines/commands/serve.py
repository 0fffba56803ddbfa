"""``hiptriage serve``: the clinicians' page.

Belongs here: where it listens, and refusing to listen where nobody would have to prove who they are. Does not belong
here: what is asked of each request (``pipelines.page``).
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import click

from pipelines.outcomes import REFUSED, Ended, plain_ends
from warehouse.home import Home
from warehouse.settings import Settings

BACKLOG = 128
HEADERS_AT_MOST = 32_768  # bytes; beyond it the server does not even read on
SECONDS_TO_END = 10


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes any that is free."
)
@click.option("--certificate", type=click.Path(), help="Certificate chain (PEM) for https; with --key.")
@click.option("--key", type=click.Path(), help="Private key (PEM) of the certificate.")
def serve(host: str, port: int, certificate: str | None, key: str | None) -> None:
    """Serve the clinicians' page over the current snapshot.

    For a health professional's decision, never in its place; not for patients to use alone.
    """
    if bool(certificate) != bool(key):
        raise click.UsageError("--certificate and --key belong together")
    for sign in (signal.SIGINT, signal.SIGTERM):
        # The server answers what it has begun and then passes on the signal that stopped it.
        signal.signal(sign, lambda *_: sys.exit(0))
    with plain_ends():
        home = Home.from_environment()
        settings = home.settings()
        listening = _listening(host, port)
        with listening:
            beyond = not ip_address(listening.getsockname()[0]).is_loopback
            if beyond and (missing := ", ".join(_missing(settings, tls=bool(certificate)))):
                raise Ended(
                    REFUSED,
                    "the page listens beyond this machine only where everybody has to prove who they are and nobody "
                    f"can read along; missing: {missing}",
                )
            server = _server(home, certificate, key, beyond=beyond)
            address = _address(listening, settings, tls=bool(certificate), beyond=beyond)

            async def run() -> None:
                click.echo(f"the page is at {address}")
                await server.serve(sockets=[listening])

            with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
                runner.run(run())


def _missing(settings: Settings, *, tls: bool) -> Iterator[str]:
    if not settings.people:
        yield "people in settings.toml"
    if not settings.page.hosts:
        yield "the page's host name in page.hosts"
    if not tls and not settings.page.proxy_secret_sha256:
        yield "--certificate and --key, or a reverse proxy (page.proxy_secret_sha256)"


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        why = (error.strerror or "no such address").lower()
        raise Ended(REFUSED, f"the page cannot listen on this host and port: {why}") from None


def _server(home: Home, certificate: str | None, key: str | None, *, beyond: bool) -> Any:
    import uvicorn

    from pipelines.page.app import create_app
    from pipelines.page.security.connections import Impatient

    config = uvicorn.Config(
        create_app(home, tls=bool(certificate), beyond=beyond),
        ssl_certfile=certificate,
        ssl_keyfile=key,
        http=Impatient,  # over h11, the stricter of the two about what a request may look like
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="error",  # what strangers send that is no request fills no log
        proxy_headers=False,  # only a proxy that proves itself is believed (pipelines.page.security.signing_in)
        server_header=False,
        h11_max_incomplete_event_size=HEADERS_AT_MOST,
        timeout_graceful_shutdown=SECONDS_TO_END,
    )
    try:
        config.load()
    except OSError:
        raise Ended(REFUSED, "the certificate or its key cannot be used") from None
    return uvicorn.Server(config)


def _address(listening: socket.socket, settings: Settings, *, tls: bool, beyond: bool) -> str:
    host, port = listening.getsockname()[:2]
    if beyond:
        host = settings.page.hosts[0]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
