"""Connections that never finish their request are closed; the others are answered. In process, over real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.responses import Response
from uvicorn import Config
from uvicorn.server import ServerState

from pipelines.page.security import connections

PATIENCE = 30.0  # seconds, only ever spent where something hangs
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def answer_to(sent: list[bytes]) -> bytes:
    """What a server says to these pieces, until it closes the connection."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response("answered")(scope, receive, send)

    config = Config(app, lifespan="off", timeout_keep_alive=1, log_config=None)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: connections.Impatient(config, ServerState(), {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        for piece in sent:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
        server.close()


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [b"GET / HT"],
        [GET, b"X-More: 1\r\n"],
        [GET + b"Content-Length: 9\r\n\r\n", b"abc"],
        [GET + b"\r\n", b"GET / HT"],  # a second request on the same connection
    ],
)
def test_a_request_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch, sent: list[bytes]) -> None:
    monkeypatch.setattr(connections, "SECONDS_TO_ASK", 0.3)
    assert asyncio.run(answer_to(sent)).count(b"answered") <= 1  # and it ends


def test_whole_requests_are_answered_and_the_connection_stays_open_for_the_next() -> None:
    assert asyncio.run(answer_to([GET + b"\r\n", GET + b"\r\n"])).count(b"answered") == 2
