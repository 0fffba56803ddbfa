"""Connections that never finish asking: closed, so that nobody can hold the page shut by opening them.

Belongs here: how long one request may take to arrive. Does not belong here: how large it may be
(``pipelines.page.security.gate``), how many may be sent (``pipelines.page.security.limiting``).
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS_TO_ASK = 40.0  # from the first byte, or the connection, to the last; a form of the page is read within 30
_STILL_ASKING = (h11.IDLE, h11.SEND_BODY)


class Impatient(H11Protocol):
    """One connection of the server, which otherwise waits without end for a request that it was promised."""

    _until: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody connects."""
        super().connection_made(transport)
        self._watch()

    def handle_events(self) -> None:
        """Something came, or an answer was sent and the next request may begin."""
        super().handle_events()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state not in _STILL_ASKING:
            self._unwatch()
        elif self._until is None:
            self._until = self.loop.call_later(SECONDS_TO_ASK, self.transport.abort)

    def _unwatch(self) -> None:
        if self._until is not None:
            self._until.cancel()
            self._until = None
