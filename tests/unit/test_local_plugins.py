"""Plugins that are single files: run like modules, and guarded like packages."""

import hashlib
import sys

from collapse_core import Registry, load_recipe
from collapse_core.plugins.discovery import load_file

POSTPONED = '''
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from collapse_core import Entry, Reward, hookimpl


@dataclass
class Note:
    words: list[str]


class Postponed(Reward):
    """Its annotations are texts until they are needed."""

    maximum: ClassVar[float] = 1.0
    words: Sequence[str] = ("Ottawa",)
    """Which words count."""

    def score(self, prompt, completions, reference):
        return [float(completion.content in self.words) for completion in completions]


@hookimpl
def collapse_components():
    yield Entry("reward", "postponed", Postponed)
'''


def test_a_file_may_postpone_its_annotations_and_its_fields_are_documented(tmp_path, toy):
    path = tmp_path / "postponed.py"
    path.write_text(POSTPONED)
    plugin = load_file(path)
    assert plugin.error is None
    part = Registry([plugin]).find("reward", "postponed")
    assert part.model_validate({"words": ["a"]}).words == ["a"]
    assert part.model_fields["words"].description == "Which words count."
    assert plugin.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_two_files_of_one_name_do_not_get_into_each_others_way(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        text = POSTPONED.replace("Ottawa", folder)
        (tmp_path / folder / "rewards.py").write_text(text)
    plugins = [load_file(tmp_path / folder / "rewards.py") for folder in ("a", "b")]
    parts = [plugin.entries[0].target for plugin in plugins]
    assert [part().words for part in parts] == [("a",), ("b",)]
    assert len({part.__module__ for part in parts}) == 2
    assert all(part.__module__ in sys.modules for part in parts)


def test_a_file_that_exits_is_broken_and_not_the_end(tmp_path):
    path = tmp_path / "exits.py"
    path.write_text("import sys\nsys.exit('good bye')\n")
    assert load_file(path).error == "SystemExit: good bye"


def test_a_file_that_yields_something_else_is_told_what_to_yield(tmp_path):
    path = tmp_path / "odd.py"
    head = "from collapse_core import Entry, hookimpl\n@hookimpl\ndef collapse_components():\n    "
    for body, why in (
        ("yield ('reward', 'x', 'y:Z')", "must yield Entry(kind, name, part), not ('reward', 'x', 'y:Z')"),
        ("return []", "yields no part"),
        ("yield from [Entry('reward', 'x', 'y:Z')] * 2", "two parts of the name reward/x"),
    ):
        path.write_text(head + body + "\n")
        assert why in load_file(path).error


def test_paths_are_those_of_the_recipe_wherever_one_stands(tmp_path, toy, monkeypatch):
    (tmp_path / "postponed.py").write_text(POSTPONED)
    path = toy(more="plugins: [postponed.py]\n")
    monkeypatch.chdir("/")
    assert load_recipe(path).plugins == [str(tmp_path / "postponed.py")]
