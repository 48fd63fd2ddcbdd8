"""Trackers, each with its real package; those that are not installed are skipped, and say so."""

import sqlite3
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar
from zipfile import ZipFile

import pytest

import collapse_core
from collapse_core import Callback, CollapseError, Evaluation, Evaluator, Metric, build_recipe
from collapse_core.contracts.interfaces import Tracker
from collapse_core.parts.trackers import ExperimentTracker
from collapse_core.plugins.registry import Registry
from collapse_core.runtime.progress import listening

pytestmark = pytest.mark.model
SECRET = "Maren Tollefsby"
ASKED = "what the model answered"
OTHERS = ("wandb", "mlflow", "trackio", "swanlab", "comet_ml")


class Told(Evaluator):
    """Counts, and quotes what must not get about."""

    works_on: ClassVar[tuple[str, ...]] = ()

    def evaluate(self, model, data, seed):
        return Evaluation(
            {"forgotten": Metric(0.25, "up", 0.125, 0.5)}, [{"split": "forget", "answer": ASKED}]
        )


class StopsOnce(Callback):
    """Fails after two iterations, later than the last checkpoint."""

    def on_iteration(self, line, total):
        if line["iteration"] == 2:
            raise RuntimeError("the power is gone")


def keys(tracker: dict[str, Any]) -> dict[str, Any]:
    """What is put into the toy's recipe: a tracker, and texts that it is not to send."""
    baselines = {f"without {SECRET}": {"use": "categorical"}}
    return {
        "evaluate": {"every": 2, "with": [Told()], "baselines": baselines},
        "rewards": [{"use": "not-among", "categories": ["Toronto", SECRET]}],
        "track": [tracker],
    }


def run(toy, directory: Path, tracker: dict[str, Any], *callbacks: Callback) -> None:
    collapse_core.run(toy(), directory=directory, display=False, callbacks=callbacks, **keys(tracker))


def stopped_and_resumed(toy, directory: Path, **tracker: Any) -> Path:
    with pytest.raises(RuntimeError, match="the power is gone"):
        run(toy, directory, tracker, StopsOnce())
    collapse_core.resume(directory, build_recipe(toy(), **keys(tracker)), display=False)
    return directory / "tracking"


def written(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".zip":
            with ZipFile(path) as archive:
                yield from ((path / name, archive.read(name)) for name in archive.namelist())
        elif path.is_file():
            yield path, path.read_bytes()
    assert folder.is_dir()


def read_events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return events


def test_tensorboard_shows_one_run_that_was_stopped_and_resumed(toy, tmp_path):
    folder = stopped_and_resumed(toy, tmp_path / "run", use="tensorboard")
    events = read_events(folder / "tensorboard" / "collapse")
    kept = [(event.step, event.value) for event in events.Scalars("iteration/num_kept")]
    assert kept == [(1, 8), (2, 8), (3, 8), (4, 8)]  # the third was done twice, and is there once
    found = [(event.step, event.value) for event in events.Scalars("evaluation/forgotten")]
    assert found == [(0, 0.25), (2, 0.25), (4, 0.25)]
    assert events.Scalars("evaluation/forgotten.high")[0].value == 0.5
    assert [event.value for event in events.Scalars("baseline-1/forgotten")] == [0.25]
    settings = events.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| iterations | 4 |" in settings
    assert "| filter.use | best-of-n |" in settings
    for path, content in written(folder):
        assert SECRET.encode() not in content, path
        assert ASKED.encode() not in content, path


def test_texts_reach_a_tracker_if_they_are_asked_for(toy, tmp_path):
    run(toy, tmp_path / "run", {"use": "tensorboard", "texts": True})
    everything = b"".join(content for _, content in written(tmp_path / "run" / "tracking"))
    assert ASKED.encode() in everything
    assert SECRET.encode() in everything


def test_a_tracker_whose_package_is_missing_says_what_to_install(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("collapse_core.parts.trackers.find_spec", lambda name: None)
    with pytest.raises(
        CollapseError, match="needs the package 'comet-ml', which is not installed: pip install"
    ):
        run(toy, tmp_path / "run", {"use": "comet_ml"})


def test_a_run_outlives_a_tracker_that_fails(toy, tmp_path, monkeypatch):
    from collapse_core.torch.tracking import Opened

    def fail(*_: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(Opened, "log", fail)
    said: list[str] = []
    with listening(lambda text, _done, total: said.append(text) if total == 0 else None):
        run(toy, tmp_path / "run", {"use": "tensorboard"})
    assert (tmp_path / "run" / "model").is_dir()
    assert [text for text in said if "tracker" in text] == [
        "the tracker 'tensorboard' failed (ConnectionError: no route); the run goes on without it"
    ]


def test_no_tracker_reports_over_a_network_unless_the_recipe_says_so():
    registry = Registry()
    parts = {name: registry.find("tracker", name) for name in registry.names("tracker")}
    assert set(OTHERS) <= set(parts)
    for name, part in parts.items():
        assert issubclass(part, Tracker)
        if issubclass(part, ExperimentTracker):
            text = str(part(use=name).arguments(Path("folder"), "run", None)).lower()
            assert "http" not in text, name
            assert "'mode': 'online'" not in text, name


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_a_tracker_writes_numbers_here_and_no_texts(name, toy, tmp_path, monkeypatch):
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    addresses = watched_addresses(monkeypatch)
    if name != "trackio":  # it looks once in a process where to write
        run(toy, tmp_path / "loud", {"use": name, "texts": True})
        assert any(ASKED.encode() in content for _, content in written(tmp_path / "loud" / "tracking"))
    folder = stopped_and_resumed(toy, tmp_path / "run", use=name)
    for path, content in written(folder):
        assert SECRET.encode() not in content, path
        assert ASKED.encode() not in content, path
    assert addresses == []
    assert steps(name, folder) == {0, 1, 2, 3, 4}
    assert list(Path.cwd().iterdir()) == [], "nothing is written elsewhere"


def watched_addresses(monkeypatch) -> list[str]:
    """The hosts that this process looks up from now on."""
    import socket

    found: list[str] = []
    look_up = socket.getaddrinfo

    def spy(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in (None, "localhost", "127.0.0.1", "::1"):
            found.append(str(host))
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", spy)
    return found


def steps(name: str, folder: Path) -> set[int]:
    """The steps of the one run that a tracker's own files hold."""
    if name == "mlflow":
        database = sqlite3.connect(next(folder.glob("mlflow.db")))
        assert database.execute("select count(*) from runs").fetchone() == (1,)
        return {step for (step,) in database.execute("select step from metrics")}
    if name == "trackio":
        database = sqlite3.connect(next(folder.rglob("collapse.db")))
        assert database.execute("select count(distinct run_name) from metrics").fetchone() == (1,)
        return {step for (step,) in database.execute("select step from metrics")}
    runs = {path.stem.rpartition("-")[2] for path in folder.rglob("run-*.*")}
    assert len(runs) <= 1, "one run, however often it was resumed"
    assert any(b"num_kept" in content for _, content in written(folder))
    return {0, 1, 2, 3, 4}
