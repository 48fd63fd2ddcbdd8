"""A browser that looks at runs, and runs to look at."""

import re
from pathlib import Path
from typing import Any

from report_runs import Page, language_run, toy_run
from starlette.testclient import TestClient

from collapse_core.runtime import files
from collapse_core.view.app import create_app
from collapse_core.view.shelf import Shelf

TOKEN = "a-token"


class Visitor:
    """A browser that has opened the address with the token."""

    def __init__(self, *paths: Path) -> None:
        app = create_app(Shelf(paths), TOKEN, wait=30)
        self.client = TestClient(app, base_url="http://127.0.0.1:8642")
        self.client.get(f"/?token={TOKEN}")

    def text(self, address: str, status: int = 200, **asked: Any) -> str:
        return " ".join(self.page(address, status, **asked).text.split())

    def page(self, address: str, status: int = 200, **asked: Any) -> Page:
        answer = self.client.get(address, params=asked or None)
        assert answer.status_code == status, answer.text
        page = Page(re.sub("<(?:link|input)[^>]*>", "", answer.text))
        assert page.open == []
        return page

    def keys(self) -> dict[str, str]:
        """The address of each run by its name."""
        page = self.client.get("/").text
        found = re.findall(r'<th scope="row"><a href="([^"]+)"><bdi>(.*?)</bdi>', page)
        return {name.rpartition("/")[2]: address for address, name in found}


def runs_to_view(folder: Path) -> Path:
    """Makes a finished run, one that a kill has ended, a toy, and two that are none."""
    language_run(folder / "whole")
    language_run(folder / "killed", finished=False)
    toy_run(folder / "toy")
    status = files.read_json(folder / "killed" / "status.json")
    files.write_json(folder / "killed" / "status.json", status | {"heartbeat": "2026-01-01T00:00:00Z"})
    for name in ("checkpoints", "completions"):
        (folder / "empty" / name).mkdir(parents=True)
    (folder / "broken").mkdir()
    (folder / "broken" / "resolved.json").write_text("{")
    return folder
