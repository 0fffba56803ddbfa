"""Hostile requests to the clinicians' page, in process; settings and servers that would let the wrong ones in."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import cycle, product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from httpx import URL

from pipelines.commands.serve import serve as serve_command
from pipelines.commands.token import token
from schemas.follow_up import NAME
from tests.commands import PROGRAM
from tests.page_people import (
    HASH,
    NORTH,
    PAGE,
    PEOPLE,
    PROXIED,
    SOUTH,
    TOKENS,
    another,
    files,
    filled,
    getting,
    over_tls,
    people_named,
    posting,
    published_of_two,
    settings,
    sign_in,
    signed_in,
    token_for,
)
from tests.page_server import client, serious, serving
from warehouse.home import Home, SettingsRefused
from warehouse.people_checkup import check_people
from warehouse.settings import PERSON_NAME

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return published_of_two(tmp_path_factory.mktemp("page"))


@pytest.fixture
def place(made: Home) -> Iterator[Home]:
    with people_named(made):
        yield made


# Hosts, sizes, methods, headers, errors.


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("evil.example", 400), ("127.0.0.1.evil.example", 400), ("hips.example.evil.example", 400), ("", 400),
        ("hips.example@evil.example", 400), ("hips.example:80:80", 400), ("[::2]", 400), ("127.0.0.1/x", 400),
        ("hips.example", 200), ("HIPS.example:8443", 200), ("localhost:1", 200), ("[::1]:8000", 200),
    ],
)  # fmt: skip
def test_other_hosts_get_nothing(place: Home, host: str, code: int) -> None:
    answer = client(place).get("/sign-in", headers={"Host": host})
    assert answer.status_code == code
    assert code == 200 or not answer.content


def test_two_hosts_are_none(place: Home) -> None:
    answer = client(place).get("/sign-in", headers=[("Host", "127.0.0.1"), ("Host", "127.0.0.1")])
    assert (answer.status_code, answer.content) == (400, b"")


def test_addresses_and_headers_have_a_length(place: Home) -> None:
    browser = client(place)
    assert browser.get("/sign-in?next=/" + "a" * 5000).status_code == 414
    assert browser.get("/" + "a" * 5000).status_code == 414
    assert browser.get("/sign-in", headers={"X-Long": "a" * 20_000}).status_code == 431


def test_every_answer_has_its_headers(place: Home) -> None:
    browser = signed_in(place, "anna")
    answers = [
        browser.get(path, headers=headers)
        for path, headers in (("/", {}), ("/sign-in", {}), ("/nowhere", {}), ("/", {"Host": "evil.example"}),
                              ("/health", {}), ("/static/style.css", {}), ("/?clinic=south", {}))
    ]  # fmt: skip
    answers += [another(browser).get("/"), browser.put("/"), browser.post("/sign-out", content=b"a" * 200_000)]
    for answer in answers:
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "strict-transport-security" not in answer.headers
        is_static = answer.url.path.startswith("/static/")
        assert answer.headers["cache-control"] == ("max-age=3600" if is_static else "no-store")
    assert "strict-transport-security" in over_tls(place).get("/sign-in").headers


def test_methods_that_an_address_does_not_take(place: Home) -> None:
    browser = signed_in(place, "anna")
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        answer = browser.request(method, "/")
        assert answer.status_code == 405 and "<h1>" in answer.text
    assert browser.get("/sign-out").status_code == 405
    assert browser.head("/").status_code == browser.head("/health").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/static/../settings.toml", "/static/..%2f..%2fsettings.toml", "/static/%2e%2e/%2e%2e/settings.toml",
     "/static/....//settings.toml", "/static//etc/passwd", "/static/", "/static/style.css/", "//etc/passwd",
     "/..%5c..%5csettings.toml", "/static/style.css%00.html", "/settings.toml", "/access.log"],
)  # fmt: skip
def test_no_path_leads_to_a_file(place: Home, path: str) -> None:
    answer = signed_in(place, "anna").request("GET", URL("http://127.0.0.1:8000").copy_with(raw_path=path.encode()))
    assert answer.status_code in (404, 307)
    assert "token_sha256" not in answer.text and "root:" not in answer.text


def test_wrong_settings_close_the_page(place: Home) -> None:
    browser = signed_in(place, "anna")
    for wrong in ("people = 1", PAGE + PEOPLE.replace("reader", "king"), "[[["):
        settings(place, wrong)
        for path in ("/", "/sign-in", "/static/style.css"):
            answer = browser.get(path)
            assert answer.status_code == 503 and "king" not in answer.text
    settings(place, PAGE + PEOPLE)
    assert browser.get("/").status_code == 200


def test_settings_that_lost_their_people_open_nothing(place: Home) -> None:
    browser = signed_in(place, "anna")
    settings(place, "")
    assert browser.get("/").status_code == 503
    assert another(browser).get("/").status_code == 503
    (place.root / "settings.toml").unlink()
    assert browser.get("/").status_code == 503


def test_the_machine_itself_is_not_whoever_comes_through_a_proxy(place: Home) -> None:
    settings(place, "")
    for header in ("X-Forwarded-For", "Forwarded", "Via"):
        assert client(place).get("/", headers={header: "1.2.3.4"}).status_code == 503


def test_an_error_of_the_program_says_nothing_of_the_patient(
    place: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("Jane Canary has a fever")

    monkeypatch.setattr("pipelines.page.visit.current_snapshot", broken)
    answer = signed_in(place, "anna").get("/")
    assert answer.status_code == 500 and "Canary" not in answer.text and "KeyError" not in answer.text
    assert "unexpected KeyError at test_page_security.py" in caplog.text
    assert "Canary" not in caplog.text and "Traceback" not in caplog.text


def test_a_missing_snapshot_says_so(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.ensure()
    answer = client(home).get("/")
    assert answer.status_code == 503 and "nothing has been published yet" in answer.text.lower()


# What people see of clinics that are not theirs.


OF_SOUTH = {"clinic": "south", "record": SOUTH, "record_id": SOUTH, "search": SOUTH, "q": SOUTH}


@pytest.mark.parametrize("who", ["anna", "rita", "ward"])
def test_no_page_shows_another_clinics_record(place: Home, who: str) -> None:
    browser = signed_in(place, who)
    for path in getting(browser):
        for asked in (OF_SOUTH, {"clinic": "north", **{k: v for k, v in OF_SOUTH.items() if k != "clinic"}}, {}):
            answer = browser.get(path, params=asked)
            assert answer.status_code < 500, path
            assert f"record {SOUTH}" not in answer.text, path  # the headline of the record


def test_another_clinics_record_is_answered_as_a_missing_one(place: Home) -> None:
    browser = signed_in(place, "anna")
    for path in getting(browser):
        there, missing = browser.get(path, params=OF_SOUTH), browser.get(path, params=OF_SOUTH | {"clinic": "nowhere"})
        if there.status_code == 404:
            assert (missing.status_code, missing.text) == (404, there.text), path
    assert browser.get("/", params={"clinic": "south"}).status_code == 404


@pytest.mark.parametrize("who", ["anna", "rita", "ward", "mona", "alan"])
def test_nobody_enters_anything_for_another_clinic(place: Home, who: str) -> None:
    browser = signed_in(place, who)
    form = {"form_token": token_for(browser)}
    before = files(place)
    for path in posting(browser):
        if who == "anna":
            answer = browser.post(path, data=OF_SOUTH | form)
            assert answer.status_code in (400, 403, 404), path
        else:
            for of in (OF_SOUTH, {"clinic": "north", "record": NORTH}):
                answer = browser.post(filled(path, "north", NORTH), data=of | form)
                assert answer.status_code in (400, 403, 404) or "what-if" in path, path
    assert files(place) == before


def test_a_request_that_names_two_clinics_or_records_is_none(place: Home) -> None:
    settings(
        place, PAGE + PEOPLE.replace('role = "clinician"\nclinics = ["north"]', 'role = "clinician"\nclinics = ["*"]')
    )
    browser = signed_in(place, "anna")
    before, token = files(place), token_for(browser)
    for path in posting(browser):
        form = {"clinic": "south", "record": SOUTH, "form_token": token, "nonce": "0" * 32}
        assert browser.post(path, params={"clinic": "north"}, data=form).status_code == 400, path
    twice = (
        ("clinic=north&clinic=south", NORTH),
        (f"clinic=north&record={NORTH}&clinic=north", NORTH),
        ("clinic=north", SOUTH),
    )
    for more, record in twice:
        for path in ("/", "/record", "/record/print", "/print", "/export"):
            asked = f"{path}?{more}&record={NORTH}&record={record}"
            assert browser.get(asked).status_code == 400, asked
    assert files(place) == before


def test_nobody_unknown_is_shown_anything(place: Home) -> None:
    stranger = client(place)
    before = files(place)
    for path in getting(stranger):
        answer = stranger.get(path, params={"clinic": "north", "record": NORTH})
        assert answer.status_code == (200 if path in ("/sign-in", "/health") or "/static/" in path else 401), path
        assert NORTH not in answer.text
    for path in posting(stranger):
        assert stranger.post(path, data={"clinic": "north", "record": NORTH}).status_code == 401, path
    assert files(place) == before


HOSTILE = [
    "../../settings.toml", "..%2f..%2fsettings.toml", "/etc/passwd", "north'; DROP TABLE referrals; --",
    "north' OR '1'='1", 'north" UNION SELECT * FROM read_text(\'/etc/passwd\') --', "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>", "{{ 7*7 }}", "%00", "\0", "\u202e", "🐀", "-1", "NaN", "9" * 400, "_unassigned",
    "*", "%", "C:\\windows",
]  # fmt: skip
NAMES = ("clinic", "record", "search", "tier", "status", "review", "overdue", "condition", "page", "format", "q")


def test_hostile_values_change_nothing(place: Home) -> None:
    browser = signed_in(place, "anna")
    values = cycle(HOSTILE)  # one more value than a round of names takes, so that each name comes by every value
    for path, name in product(getting(browser), NAMES):
        value = next(values)
        answer = browser.get(path, params={"clinic": "north", "record": NORTH, name: value})
        assert answer.status_code in (200, 303, 400, 403, 404), (path, name, value)
        assert SOUTH not in answer.text and "root:" not in answer.text and "token_sha256" not in answer.text
        assert "<script" not in answer.text and "<img src=x" not in answer.text
        assert answer.status_code == 200 or len(value) == 1 or value not in answer.text, (path, name, value)
    assert NORTH in browser.get("/").text


# Settings, and the server.


@pytest.mark.parametrize(
    "wrong",
    [
        PEOPLE.replace('role = "clinician"', 'role = "local"'),
        PEOPLE.replace('role = "reader"\nclinics = ["north"]', 'role = "clinician"\nclinics = ["north"]'),
        PEOPLE.replace('clinics = ["*"]', 'clinics = ["*", "north"]'),
        PEOPLE.replace('clinics = ["*"]', "clinics = []"),
        PEOPLE.replace("[people.rita]", "[people.local]"),
        PEOPLE.replace("[people.rita]", '[people."a b"]'),
        PEOPLE.replace(HASH["rita"], HASH["anna"]),
        PEOPLE.replace(HASH["rita"], "short"),
        PEOPLE.replace("Dr Anna Berg", "<b>Anna"),
        '[page]\nproxy_header = "X-Person"',
        '[page]\nhosts = ["*.example"]',
        '[page]\nhosts = ["https://hips.example"]',
        '[page]\nproxy_header = "X Person"',
    ],
)
def test_settings_that_would_let_the_wrong_ones_in_are_refused(place: Home, wrong: str) -> None:
    settings(place, wrong)
    with pytest.raises(SettingsRefused):
        place.settings()


def test_a_persons_name_may_stand_beside_a_decision() -> None:
    assert PERSON_NAME == NAME


def test_a_token_is_printed_once_and_its_hash_set(place: Home) -> None:
    done = CliRunner().invoke(token)
    made = done.stderr.rpartition(" ")[2].strip()
    assert made not in done.stdout and len(made) >= 43
    settings(place, PEOPLE.replace(f'token_sha256 = "{HASH["anna"]}"', done.stdout))
    assert sign_in(client(place), made).status_code == 303


@pytest.mark.parametrize(
    ("text", "wrong", "notes"),
    [
        ("", (), ("nobody is named",)),
        (PAGE + PEOPLE, (), ("is over: otto",)),
        (PEOPLE, (), ("is over: otto", "names no host")),
        (PAGE + PEOPLE.replace(f'token_sha256 = "{HASH["anna"]}"', ""), ("cannot sign in: anna;",), ("is over: otto",)),
        (PROXIED + PEOPLE, (), ("is over: otto", "tokens are not asked")),
    ],
)
def test_the_doctor_says_who_cannot_sign_in(place: Home, text: str, wrong: tuple[str], notes: tuple[str]) -> None:
    settings(place, text)
    found = list(check_people(place.settings()))
    for state, wanted in (("wrong", wrong), ("note", notes)):
        said = [finding.sentence for finding in found if finding.state == state]
        assert len(said) == len(wanted) and all(part in one for part, one in zip(wanted, said, strict=True)), said


@pytest.mark.slow
def test_a_server_starts_says_where_and_stops(place: Home) -> None:
    settings(place, "")
    for sign in (signal.SIGTERM, signal.SIGINT):
        with serve(place, "--port", "0") as process:
            address = process.stdout.readline().removeprefix("the page is at ").strip()
            with urllib.request.urlopen(f"{address}/health", timeout=60) as answer:
                assert (answer.status, answer.read(), answer.headers["server"]) == (200, b"", None)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(urllib.request.Request(address, headers={"Host": "evil.example"}), timeout=60)
            assert refused.value.code == 400 and refused.value.read() == b""
            process.send_signal(sign)
            out, err = process.communicate(timeout=60)
            assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", ("people in", "host name", "--certificate")),
        (PEOPLE, ("host name", "--certificate")),
        (PAGE + PEOPLE, ("--certificate",)),
        (PROXIED, ("people in",)),
    ],
)
def test_a_server_does_not_listen_beyond_the_machine_unproven(
    place: Home, monkeypatch: pytest.MonkeyPatch, text: str, missing: tuple[str, ...]
) -> None:
    settings(place, text)
    done = invoked(monkeypatch, place, "--host", "0.0.0.0", "--port", "0")
    assert done.exit_code == 4 and done.stderr.count("\n") == 1, done.stderr
    said = done.stderr.partition("missing: ")[2]
    for words in ("people in", "host name", "--certificate"):
        assert (words in said) == (words in missing)


def test_a_server_without_the_whole_certificate_does_not_start(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoked(monkeypatch, place, "--certificate", "a.pem").exit_code == 2
    done = invoked(monkeypatch, place, "--port", "0", "--certificate", "a.pem", "--key", "b.pem")
    assert done.exit_code == 4 and "certificate" in done.stderr


def invoked(monkeypatch: pytest.MonkeyPatch, home: Home, *options: str) -> Result:
    """What a server that does not start says, in this process."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("HIPTRIAGE_HOME", str(home.root))
    return CliRunner().invoke(serve_command, options)


@pytest.mark.slow
def test_a_clinician_signs_in_and_out_in_a_browser(place: Home, page: Page) -> None:
    with serving(place) as running:
        page.goto(f"{running.address}/?clinic=north")
        assert page.get_by_role("heading", level=1).inner_text() == "Sign in"
        assert serious(page) == []
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        assert "not known" in page.get_by_role("alert").inner_text()
        page.get_by_label("Your token").fill(TOKENS["anna"])
        page.get_by_role("button", name="Sign in").click()
        assert page.url == f"{running.address}/?clinic=north"
        assert page.get_by_text("Dr Anna Berg, clinician").is_visible()
        page.get_by_role("button", name="Sign out").click()
        page.goto(running.address)
        assert page.get_by_role("heading", level=1).inner_text() == "Sign in"


def serve(home: Home, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, "serve", *options],
        env=os.environ | {"HIPTRIAGE_HOME": str(home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
