"""Who asks for the clinicians' page: tokens, sessions, forms, a reverse proxy, and what the access log says of them."""

from __future__ import annotations

import hashlib
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.page_people import (
    HASH,
    HTML,
    NORTH,
    PAGE,
    PEOPLE,
    PROXIED,
    PROXY,
    SOUTH,
    TOKENS,
    another,
    bearer,
    entries,
    getting,
    logged,
    over_tls,
    people_named,
    posting,
    published_of_two,
    settings,
    sign_in,
    signed_in,
    token_for,
    token_in,
)
from tests.page_server import client
from warehouse.access_log import AccessLogClosed, append
from warehouse.home import Home


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return published_of_two(tmp_path_factory.mktemp("page"))


@pytest.fixture
def place(made: Home) -> Iterator[Home]:
    with people_named(made):
        yield made


# Who is asked to sign in.


def test_while_nobody_is_named_the_machine_itself_reads(place: Home) -> None:
    settings(place, "")
    assert client(place).get("/").status_code == 200


def test_where_somebody_is_named_everybody_signs_in(place: Home) -> None:
    answer = client(place).get("/?clinic=north", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2F%3Fclinic%3Dnorth")
    assert client(place).get("/", headers={"Accept": "*/*"}).status_code == 401


def test_the_token_opens_the_page_it_was_asked_for(place: Home) -> None:
    browser = client(place)
    answer = sign_in(browser, TOKENS["anna"], next="/?clinic=north")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?clinic=north")
    assert "Dr Anna Berg" in browser.get("/").text
    assert NORTH in browser.get("/").text and SOUTH not in browser.get("/").text


@pytest.mark.parametrize("token", ["", "wrong", HASH["anna"], TOKENS["otto"], TOKENS["anna"] + "x", "é\0ü" * 30])
def test_another_token_opens_nothing(place: Home, token: str) -> None:
    browser = client(place)
    answer = sign_in(browser, token)
    assert answer.status_code in (400, 401)
    assert not token or token not in answer.text
    assert browser.get("/").status_code == 401


def test_a_token_in_a_header_reads_and_does_not_write(place: Home) -> None:
    browser = client(place)
    assert NORTH in browser.get("/", headers=bearer("anna")).text
    assert browser.head("/", headers=bearer("anna")).status_code == 200
    assert browser.post("/sign-out", headers=bearer("anna")).status_code == 403
    assert browser.get("/", headers={"Authorization": f"Basic {TOKENS['anna']}"}).status_code == 401
    assert browser.get("/", headers=[*bearer("anna").items(), *bearer("alan").items()]).status_code == 400


def test_a_token_in_the_address_opens_nothing(place: Home) -> None:
    browser = client(place)
    for name in ("token", "form_token", "access_token"):
        assert browser.get("/", params={name: TOKENS["anna"]}).status_code == 401
        assert browser.post("/sign-in", params={name: TOKENS["anna"]}, data={"a": "b"}).status_code == 403


@pytest.mark.parametrize(
    "changed",
    [
        PEOPLE.replace(HASH["anna"], "0" * 64),
        PEOPLE.replace("[people.anna]", "[people.berta]"),
        PEOPLE.replace(f'token_sha256 = "{HASH["anna"]}"', f'token_sha256 = "{HASH["anna"]}"\nuntil = 2020-01-31'),
        PEOPLE.replace(f'token_sha256 = "{HASH["anna"]}"', ""),
        "",
    ],
)
def test_a_session_ends_with_its_token(place: Home, changed: str) -> None:
    browser = signed_in(place, "anna")
    assert browser.get("/").status_code == 200
    settings(place, PAGE + changed)
    assert browser.get("/").status_code == (401 if changed else 503)


def test_roles_and_clinics_hold_at_once(place: Home) -> None:
    browser = signed_in(place, "anna")
    settings(place, PAGE + PEOPLE.replace('clinics = ["north"]', 'clinics = ["south"]'))
    assert SOUTH in browser.get("/").text and NORTH not in browser.get("/").text
    settings(place, PAGE + PEOPLE.replace('role = "clinician"', 'role = "manager"'))
    assert browser.get("/").headers["location"] == "/aggregates"
    assert browser.get("/aggregates").status_code == 200
    assert browser.get("/record", params={"clinic": "north", "record": NORTH}).status_code == 403


def test_signing_out_ends_the_session_for_its_copies_too(place: Home) -> None:
    browser = signed_in(place, "anna")
    copy = another(browser, browser.cookies)
    assert copy.get("/").status_code == 200
    answer = browser.post("/sign-out", data={"form_token": token_in(browser.get("/").text)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert browser.get("/").status_code == 401
    assert copy.get("/").status_code == 401


def test_a_session_is_over_after_its_hours(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = signed_in(place, "anna")
    now = time.time()
    monkeypatch.setattr("pipelines.page.security.sessions.time.time", lambda: now + 12 * 3600 - 5)
    assert browser.get("/").status_code == 200
    monkeypatch.setattr("pipelines.page.security.sessions.time.time", lambda: now + 12 * 3600 + 5)
    assert browser.get("/").status_code == 401
    monkeypatch.setattr("pipelines.page.security.sessions.time.time", lambda: now - 3600)
    assert browser.get("/").status_code == 401


def test_a_cookie_that_was_changed_opens_nothing(place: Home) -> None:
    browser = signed_in(place, "rita")
    ((name, value),) = browser.cookies.items()
    session = json.loads(b64decode(value.strip('"').partition(".")[0]))
    forged = b64encode(json.dumps(session | {"person": "anna"}).encode()).decode()
    signature = value.strip('"').partition(".")[2]
    for cookie in (f"{forged}.{signature}", forged, f"{value}x", "", "." * 50, "null"):
        assert another(browser, {name: cookie}).get("/").status_code == 401, cookie
    assert TOKENS["rita"] not in str(session) and HASH["rita"] not in str(session)


def test_a_session_of_another_process_opens_nothing(place: Home) -> None:
    cookies = signed_in(place, "anna").cookies
    assert another(client(place), cookies).get("/").status_code == 401


def test_the_cookie_is_for_this_page_alone(place: Home) -> None:
    plain = client(place).get("/sign-in").headers["set-cookie"]
    assert {"httponly", "samesite=lax", "path=/"} <= set(plain.lower().split("; "))
    browser = over_tls(place)
    secure = browser.get("/sign-in").headers["set-cookie"]
    assert secure.startswith("__Host-") and "secure" in secure.split("; ") and "domain" not in secure
    assert sign_in(browser, TOKENS["anna"]).status_code == 303


@pytest.mark.parametrize(
    "where",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/\t/evil.example",
     "/x\r\nSet-Cookie: a=b", "evil.example", "", "/" + "a" * 3000],
)  # fmt: skip
def test_signing_in_leads_nowhere_else(place: Home, where: str) -> None:
    answer = sign_in(client(place), TOKENS["anna"], next=where)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    browser = signed_in(place, "anna")
    assert browser.get("/sign-in", params={"next": where}).headers["location"] == "/"


# Failed sign-ins and too many requests.


def test_failed_sign_ins_are_limited_by_address_and_entered_without_the_token(place: Home) -> None:
    settings(place, PAGE + "failed_sign_ins = 3\n" + PEOPLE)
    browser = client(place)
    form = token_in(browser.get("/sign-in").text)
    codes = [browser.post("/sign-in", data={"form_token": form, "token": "wr0ng"}).status_code for _ in range(4)]
    assert codes == [401, 401, 401, 429]
    answer = browser.post("/sign-in", data={"form_token": form, "token": TOKENS["anna"]})
    assert answer.status_code == 429 and 0 < int(answer.headers["retry-after"]) <= 901
    assert browser.get("/", headers=bearer("anna")).status_code == 429
    assert entries(place) == [{"who": None, "what": "refused", "status": 401, "address": "testclient"}] * 3
    assert "wr0ng" not in place.access_log.read_text()


def test_too_many_requests_of_one_person_do_not_stop_another(place: Home) -> None:
    settings(place, PAGE + "requests_a_minute = 10\n" + PEOPLE)
    browser = client(place)
    codes = [browser.get("/health-check", headers=bearer("anna")).status_code for _ in range(12)]
    assert codes == [404] * 10 + [429] * 2
    answer = browser.get("/", headers=bearer("anna"))
    assert answer.status_code == 429 and 0 < int(answer.headers["retry-after"]) <= 61
    assert browser.get("/", headers=bearer("alan")).status_code == 200
    assert browser.get("/static/style.css").status_code == 200
    assert len(entries(place)) == 10 + logged(place, "list")


# Forms.


def test_a_form_needs_its_token(place: Home) -> None:
    browser = signed_in(place, "anna")
    other = signed_in(place, "rita")
    mine = token_in(browser.get("/").text)
    for wrong in (
        "",
        "x",
        mine + "x",
        mine[:-1],
        token_in(other.get("/").text),
        "form.AAAA." + mine.rpartition(".")[2],
    ):
        answer = browser.post("/sign-out", data={"form_token": wrong})
        assert answer.status_code == 403 and "too old" in answer.text, wrong
    assert browser.post("/sign-out").status_code in (403, 415)
    assert browser.post("/sign-out", data={"form_token": mine}).status_code == 303


def test_a_form_is_of_one_browser_and_person(place: Home) -> None:
    first, second = client(place), client(place)
    stranger = token_in(first.get("/sign-in").text)
    before = {"form_token": stranger, "token": TOKENS["anna"]}
    assert another(first).post("/sign-in", data=before).status_code == 403
    second = another(first)
    second.get("/sign-in")
    assert second.post("/sign-in", data=before).status_code == 403
    assert first.post("/sign-in", data=before).status_code == 303
    assert first.post("/sign-out", data={"form_token": stranger}).status_code == 403


def test_an_old_form_is_refused(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = signed_in(place, "anna")
    old = int(time.time()) - 13 * 3600
    monkeypatch.setattr("itsdangerous.TimestampSigner.get_timestamp", lambda _: old)
    form = {"form_token": token_in(browser.get("/").text)}
    monkeypatch.undo()
    assert browser.post("/sign-out", data=form).status_code == 403
    assert browser.post("/sign-out", data={"form_token": token_in(browser.get("/").text)}).status_code == 303


def test_the_machine_itself_needs_the_token_of_a_form_too(place: Home) -> None:
    settings(place, "")
    for path in posting(client(place)):
        assert client(place).post(path, data={"clinic": "north", "record": NORTH}).status_code in (403, 404), path


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9000"}, 403),
        ({"Origin": "https://127.0.0.1:8000"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8000"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8000"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({}, 303),
    ],
)
def test_another_site_posts_nothing(place: Home, sent: dict[str, str], code: int) -> None:
    browser = signed_in(place, "anna")
    form = {"form_token": token_in(browser.get("/").text)}
    assert browser.post("/sign-out", data=form, headers=sent).status_code == code


def test_another_site_may_link_to_a_page_and_not_load_it(place: Home) -> None:
    browser = signed_in(place, "anna")
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert browser.get("/", headers=link).status_code == 200
    for other in ({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}):
        assert browser.get("/", headers=link | other).status_code == 403


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (b"a=1&a=2", None, 400),
        (b"a=%ff", None, 400),
        (b"a=\xff", None, 400),
        (b"a=%00", None, 400),
        (b"&".join(b"f%d=1" % number for number in range(60)), None, 400),
        (b"a=" + b"x" * 200_000, None, 413),
        (b"{}", "application/json", 415),
        (b"a=1", "text/plain", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415),
    ],
)
def test_a_form_that_no_page_sends_is_refused(place: Home, content: bytes, kind: str | None, code: int) -> None:
    browser = signed_in(place, "anna")
    sent = {"Content-Type": kind or "application/x-www-form-urlencoded"}
    for body in (content, iter([content])):  # with its length beforehand, and without
        answer = browser.post("/sign-out", content=body, headers=sent)
        assert answer.status_code == code and b"x" * 100 not in answer.content


# A reverse proxy that says who it is.


def proxied(who: str, **more: str) -> dict[str, str]:
    return {"X-Person": who, "X-Hiptriage-Proxy": PROXY, "Host": "hips.example"} | more


def test_a_proxy_says_who_it_is(place: Home) -> None:
    settings(place, PROXIED + PEOPLE)
    browser = client(place)
    answer = browser.get("/", headers=proxied("anna"))
    assert answer.status_code == 200 and "Dr Anna Berg" in answer.text and SOUTH not in answer.text
    assert "strict-transport-security" in answer.headers
    assert "Sign out" not in answer.text


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"X-Person": "anna", "Host": "hips.example"}, 403),
        (proxied("anna", **{"X-Hiptriage-Proxy": "wrong"}), 403),
        (proxied("anna", **{"X-Hiptriage-Proxy": hashlib.sha256(PROXY.encode()).hexdigest()}), 403),
        ([*proxied("anna").items(), ("X-Person", "alan")], 400),
        ([*proxied("anna").items(), ("X-Hiptriage-Proxy", PROXY)], 400),
        (proxied("ANNA"), 403),
        (proxied("otto"), 403),
        (proxied("nobody"), 403),
        (proxied("anna, alan"), 403),
        (proxied(""), 401),
        ({"X_Person": "anna", "X-Hiptriage-Proxy": PROXY, "Host": "hips.example"}, 401),
        ({"X-Hiptriage-Proxy": PROXY, "Host": "hips.example", **bearer("anna")}, 401),
        (bearer("anna"), 403),
    ],
)
def test_a_proxy_that_does_not_prove_itself_is_not_believed(place: Home, sent: Any, code: int) -> None:
    settings(place, PROXIED + PEOPLE)
    answer = client(place).get("/", headers=sent)
    assert answer.status_code == code and NORTH not in answer.text
    assert client(place).get("/static/style.css").status_code == 403
    assert client(place).get("/health").status_code == 200


def test_failed_sign_ins_behind_a_proxy_count_by_the_browsers_address(place: Home) -> None:
    settings(place, PROXIED.replace('proxy_header = "X-Person"', "failed_sign_ins = 1") + PEOPLE)
    browser = client(place, base_url="https://hips.example")
    sent = {"X-Hiptriage-Proxy": PROXY, **bearer("otto")}
    for last, code in (("10.0.0.1", 401), ("10.0.0.1", 429), ("10.0.0.2", 401), ("nonsense", 401)):
        answer = browser.get("/", headers=sent | {"X-Forwarded-For": f"6.6.6.6, {last}"})
        assert answer.status_code == code, last
    assert [entry["address"] for entry in entries(place)] == ["10.0.0.1", "10.0.0.2", "testclient"]


# The access log.


def test_signing_in_and_out_and_refusals_are_entered(place: Home) -> None:
    browser = signed_in(place, "rita")
    browser.get("/", params={"clinic": "south"})
    browser.get("/nowhere-<b>Jane</b>")
    browser.post("/sign-out", data={"form_token": token_for(browser)})
    rita = {"who": "rita", "role": "reader"}
    assert [entry for entry in entries(place) if entry["what"] != "list"] == [
        rita | {"what": "sign_in", "status": 303, "address": "testclient"},
        rita | {"what": "refused", "status": 404},
        rita | {"what": "refused", "status": 404},
        rita | {"what": "sign_out", "status": 303},
    ]
    assert oct(place.access_log.stat().st_mode)[-3:] == "600"
    first = place.access_log.read_text().split(maxsplit=1)[0]
    assert datetime.fromisoformat(first).utcoffset() == timedelta(0)


def test_without_the_log_nobody_signs_in(place: Home) -> None:
    place.access_log.unlink(missing_ok=True)
    place.access_log.mkdir()
    try:
        answer = sign_in(client(place), TOKENS["anna"])
        assert answer.status_code == 503 and "access log cannot be written" in answer.text
    finally:
        place.access_log.rmdir()


def test_without_the_log_no_page_shows_a_record(place: Home) -> None:
    browser = signed_in(place, "anna")
    asked = {"clinic": "north", "record": NORTH, "format": "csv"}
    showing = [path for path in getting(browser) if NORTH in browser.get(path, params=asked).text]
    assert {"/", "/record"} <= set(showing)
    place.access_log.unlink()
    place.access_log.mkdir()
    try:
        for path in showing:
            answer = browser.get(path, params=asked)
            assert (answer.status_code, NORTH in answer.text) == (503, False), path
    finally:
        place.access_log.rmdir()


def test_an_entry_is_a_line_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("2026-01-01T00:00:00+00:00 {cut sho")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: append(log, {"n": number, "text": "a\nb"}), range(200)))
    first, *lines = log.read_text().splitlines()
    assert first.endswith("cut sho")
    assert sorted(json.loads(line.partition(" ")[2])["n"] for line in lines) == list(range(200))


def test_a_log_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "access.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AccessLogClosed):
        append(tmp_path / "access.log", {})
