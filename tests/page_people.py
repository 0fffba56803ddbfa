"""People of two clinics who may open the clinicians' page, and browsers they sign in with; in process."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.page_server import client
from tests.published_home import START, published, take_in
from warehouse.home import Home

if TYPE_CHECKING:
    from starlette.testclient import TestClient

TOKENS = {name: f"token-of-{name}-0123456789abcdef" for name in ("anna", "rita", "ward", "mona", "alan", "otto")}
HASH = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
PEOPLE = f"""
[people.anna]
name = "Dr Anna Berg"
role = "clinician"
clinics = ["north"]
token_sha256 = "{HASH["anna"]}"
[people.rita]
name = "Rita Lund"
role = "reader"
clinics = ["north"]
token_sha256 = "{HASH["rita"]}"
[people.ward]
name = "Ward 3"
role = "reader"
clinics = ["north"]
token_sha256 = "{HASH["ward"]}"
shared = true
[people.mona]
name = "Mona Ek"
role = "manager"
clinics = ["*"]
token_sha256 = "{HASH["mona"]}"
[people.alan]
name = "Alan Ray"
role = "analyst"
clinics = ["*"]
token_sha256 = "{HASH["alan"]}"
[people.otto]
name = "Otto Past"
role = "clinician"
clinics = ["*"]
token_sha256 = "{HASH["otto"]}"
until = 2020-01-31
"""
PROXY = "the proxy's secret"
PAGE = '[page]\nhosts = ["hips.example"]\n'
PROXIED = PAGE + (f'proxy_header = "X-Person"\nproxy_secret_sha256 = "{hashlib.sha256(PROXY.encode()).hexdigest()}"\n')
HTML = {"Accept": "text/html"}
SOUTH, NORTH = "south-canary-1", "north-canary-1"


def published_of_two(folder: Path) -> Home:
    """A published home of two clinics, one record each."""
    home = Home(folder / "home")
    for clinic, record in (("north", NORTH), ("south", SOUTH)):
        take_in(home, clinic, [{"record_id": record, "submitted_at": START, "systemic__fever": "1"}], folder)
    published(home)
    return home


@contextmanager
def people_named(home: Home) -> Iterator[None]:
    """The home with people named and an empty access log, for one test."""
    settings(home, PAGE + PEOPLE)
    home.access_log.unlink(missing_ok=True)
    yield
    (home.root / "settings.toml").unlink(missing_ok=True)


def settings(home: Home, text: str) -> None:
    (home.root / "settings.toml").write_text(text)


def entries(home: Home) -> list[dict[str, Any]]:
    lines = home.access_log.read_text().splitlines() if home.access_log.exists() else []
    return [json.loads(line.partition(" ")[2]) for line in lines]


def token_in(text: str) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', text)
    assert found, text
    return found[1]


def signed_in(home: Home, who: str, **options: Any) -> TestClient:
    browser = client(home, **options)
    answer = sign_in(browser, TOKENS[who])
    assert answer.status_code == 303, answer.text
    return browser


def another(browser: TestClient, cookies: Any = None) -> TestClient:
    """Another browser at the same server, with copies of these cookies."""
    made = type(browser)(browser.app, base_url=browser.base_url, follow_redirects=False)
    made.cookies.update(cookies or {})
    return made


def sign_in(browser: TestClient, token: str, **fields: str) -> Any:
    form = token_in(browser.get("/sign-in").text)
    return browser.post("/sign-in", data={"form_token": form, "token": token, **fields})


def bearer(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[who]}"}


def logged(home: Home, what: str) -> int:
    return sum(entry["what"] == what for entry in entries(home))


def getting(browser: TestClient) -> list[str]:
    return [filled(route.path) for route in browser.app.routes if "GET" in (route.methods or ())]


def posting(browser: TestClient) -> list[str]:
    found = [filled(route.path) for route in browser.app.routes if "POST" in (route.methods or ())]
    return [path for path in found if path not in ("/sign-in", "/sign-out")]


def filled(path: str, clinic: str = "south", record: str = SOUTH) -> str:
    """A route's path with another clinic's record in the place of its parameters."""
    return re.sub(r"\{[^}]*\}", record, re.sub(r"\{clinic[^}]*\}", clinic, path))


def files(home: Home) -> set[Path]:
    return {path for path in home.root.rglob("*") if not path.name.startswith("access.log")}


def token_for(browser: TestClient) -> str:
    """The form token of a page that the person may see, whatever their role."""
    pages = (browser.get(path).text for path in ("/", "/aggregates", "/about"))
    return next(token_in(text) for text in pages if "form_token" in text)


def over_tls(home: Home) -> TestClient:
    from pipelines.page.app import create_app

    made = type(client(home))
    return made(create_app(home, tls=True), base_url="https://hips.example", follow_redirects=False)
