"""The page on which runs are looked at: who may see it."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from view_visitor import TOKEN, Visitor, runs_to_view

from collapse_core.view.app import create_app
from collapse_core.view.serving import EXPOSED, prepare
from collapse_core.view.shelf import Shelf


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs_to_view(tmp_path_factory.mktemp("view") / "runs")


@pytest.fixture(scope="module")
def visitor(runs: Path) -> Visitor:
    return Visitor(runs)


@pytest.fixture(scope="module")
def whole(visitor: Visitor) -> str:
    return visitor.keys()["whole"]


def stranger(runs: Path) -> TestClient:
    app = create_app(Shelf([runs]), TOKEN)
    return TestClient(app, base_url="http://127.0.0.1:8642", follow_redirects=False)


@pytest.mark.parametrize("address", ["/", "/static/view.js", "/version", "/?token=another", "/nowhere"])
def test_nothing_is_shown_without_the_token(address: str, runs: Path) -> None:
    answer = stranger(runs).get(address)
    assert answer.status_code == 403
    assert answer.text.startswith("This page needs a token: open the address")


def test_the_token_goes_from_the_address_into_a_cookie(runs: Path) -> None:
    client = stranger(runs)
    answer = client.get("/compare", params={"token": TOKEN, "forgetting": "a"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/compare?forgetting=a")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"collapse-view-8642={TOKEN};")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert client.get("/").status_code == 200
    assert client.get("/", headers={"cookie": "collapse-view-8642=another"}).status_code == 403


def test_a_redirect_leads_to_no_other_host(runs: Path) -> None:
    answer = stranger(runs).get(f"http://127.0.0.1:8642//example.org/x?token={TOKEN}")
    assert answer.headers["location"] == "/example.org/x"


@pytest.mark.parametrize(
    "host", ["example.org", "example.org:8642", "127.0.0.1.example.org", "", "[::1", "a:b"]
)
def test_a_name_that_is_not_this_machine_is_refused_even_with_the_token(host: str, runs: Path) -> None:
    answer = stranger(runs).get(f"/?token={TOKEN}", headers={"host": host})
    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["localhost:99", "LOCALHOST", "127.0.0.1", "[::1]:8642", "192.168.0.7:1"])
def test_numbers_and_localhost_are_this_machine(host: str, runs: Path) -> None:
    assert stranger(runs).get(f"/?token={TOKEN}", headers={"host": host}).status_code == 303


def test_nothing_can_be_changed(visitor: Visitor) -> None:
    assert visitor.client.post("/").status_code == 405


def test_every_answer_forbids_what_the_page_does_not_need(visitor: Visitor, whole: str) -> None:
    for address in ("/", whole, "/nowhere", "/static/view.css"):
        headers = visitor.client.get(address).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


def test_it_listens_on_the_loopback_address_and_says_what_another_one_means(runs: Path) -> None:
    said: list[str] = []
    _, first = prepare(Shelf([runs]), "127.0.0.1", None, said.append)
    _, second = prepare(Shelf([runs]), "127.0.0.1", None, said.append)
    _, third = prepare(Shelf([runs]), "0.0.0.0", 0, said.append)
    with first, second, third:
        assert first.getsockname()[1] != second.getsockname()[1]
    for line in said[:2]:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", line)
    assert said[0].rpartition("=")[2] != said[1].rpartition("=")[2]
    assert said[2] == f"warning: --host 0.0.0.0: {EXPOSED}"
