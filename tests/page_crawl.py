"""Every page and file of the clinicians' page that a browser can reach by routes and links, decoded; in process."""

from __future__ import annotations

import html
import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from starlette.testclient import TestClient

ADDRESSES_AT_MOST = 300  # of a home with a few records; more would mean that addresses are made without end


def crawled(browser: TestClient, **asked: str) -> dict[str, tuple[int, str]]:
    """Status and text of every address: each route without and with ``asked`` after it, and what they lead to.

    The text has the headers too, and of a file every cell.
    """
    routes = [route.path for route in browser.app.routes if "GET" in (route.methods or ())]
    waiting = [*routes, *(f"{path}?{urlencode(asked)}" for path in routes)]
    found: dict[str, tuple[int, str]] = {}
    while waiting:
        address = waiting.pop()
        if address in found:
            continue
        answer = browser.get(address)
        found[address] = (answer.status_code, f"{dict(answer.headers)}\n{decoded(answer)}")
        assert len(found) <= ADDRESSES_AT_MOST
        if answer.headers.get("content-type", "").startswith("text/html"):
            links = re.findall(r'(?:href|action)="(/[^"#]*)', answer.text)
            waiting += [html.unescape(link) for link in links]
    return found


def decoded(answer: Any) -> str:
    """What an answer says: of a workbook or Parquet file its cells, else its text without the escapes of HTML."""
    kind = answer.headers.get("content-type", "")
    if "spreadsheet" in kind:
        with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
            return "\n".join(book.read(name).decode() for name in book.namelist())
    if "parquet" in kind:
        return json.dumps(pq.read_table(io.BytesIO(answer.content)).to_pylist(), default=str)
    return html.unescape(answer.text) if kind.startswith("text/html") else str(answer.text)


def texts(found: Mapping[str, tuple[int, str]]) -> str:
    """All texts of a crawl as one."""
    return "\n".join(text for _, text in found.values())
