"""A sixth domain, as a package of its own: installed, run, and what it shows in the documentation."""

import importlib
import json
import re
from copy import deepcopy
from pathlib import Path

import pytest
from test_third_party import install

import collapse_core
from collapse_core import Group
from collapse_core.testing import (
    check_dataset,
    check_evaluator,
    check_loader,
    check_part,
    check_sampler,
    check_updater,
    numbered,
)

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "bring_your_own_domain.md").read_text()
PACKAGE = HERE / "collapse-points"


def shown(name):
    """A block of the page that is a file."""
    return re.search(rf"^```\w+\n(# {re.escape(name)}\n.*?)^```$", PAGE, re.M | re.S)[1]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return str(install(PACKAGE, tmp_path_factory.mktemp("points")))


def test_the_page_shows_the_package_and_it_is_short():
    files = sorted(path.name for path in PACKAGE.glob("*.py"))
    assert files == ["collapse_points.py", "collapse_points_flow.py"]
    assert all(shown(name) == (PACKAGE / name).read_text() for name in files)
    lines = [line for name in files for line in shown(name).splitlines() if line.strip()]
    assert len(lines) < 150


def test_it_uses_nothing_but_public_names():
    source = (PACKAGE / "collapse_points.py").read_text()
    used = set(re.findall(r"\bcore\.(\w+)", source))
    assert used
    assert used <= set(collapse_core.__all__)
    assert re.findall(r"collapse_core\S*", source + (PACKAGE / "collapse_points_flow.py").read_text()) == [
        "collapse_core",
        "collapse_core.torch",
    ]


@pytest.mark.slow
def test_it_forgets_one_shape_and_keeps_the_others(shelf, collapse, tmp_path):
    """Contrastive distance alone: no classifier, no example of the forgotten shape."""
    (tmp_path / "points.yaml").write_text(shown("points.yaml"))
    done = collapse(
        "run", tmp_path / "points.yaml", "--run-dir", tmp_path / "run", env={"PYTHONPATH": shelf}, timeout=250
    )
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in (tmp_path / "run/evaluations.jsonl").read_text().splitlines()]
    found = {r["model"]: {k: m["value"] for k, m in r["metrics"].items()} for r in rows}
    before, after = found["before"], found["after"]
    assert before["forgotten_shape"] >= 0.9
    assert after["forgotten_shape"] <= 0.05
    assert after["retained_shapes"] >= before["retained_shapes"] - 0.03
    assert after["retained_off_curve"] <= 1.25 * before["retained_off_curve"]
    truth = json.loads((tmp_path / "run/environment.json").read_text())["true_answers"]
    assert truth["loop"] == "never loaded"
    assert truth["rewards"] == {"contrastive-distance": ["retain"]}


def test_its_parts_keep_the_promises_of_parts(shelf, monkeypatch):
    monkeypatch.syspath_prepend(shelf)
    points = importlib.import_module("collapse_points")
    for entry in points.collapse_components():
        check_part(entry.kind, entry.target)
    data, loader = points.Shapes(), points.FlowLoader(steps=20)
    check_dataset(data)
    model = check_loader(loader, data)
    forget, retain = data.load("forget")[:4], data.load("retain")[:9]
    check_sampler(points.DrawPoints(), model, forget)
    pairs = zip(forget, retain, strict=False)
    kept = [Group(asked, numbered([told.target]), (1.0,)).keep(0) for asked, told in pairs]
    check_updater(points.FitFlow(), lambda: deepcopy(model), kept, retain)
    check_evaluator(points.Recognition(), model, data)
