"""Trackers that a recipe can name under `track:`: TensorBoard and those that accelerate knows.

They get numbers. Texts, such as what the model answered, go to them only with `texts: true`.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec
from uuid import uuid4

from pydantic import PrivateAttr

from collapse_core import errors
from collapse_core.contracts.component import Settings
from collapse_core.contracts.interfaces import Tracker
from collapse_core.errors import CollapseError
from collapse_core.runtime import files, progress

if TYPE_CHECKING:
    from collapse_core.torch.tracking import Opened

FOLDER = "tracking"
"""The folder of a run directory that holds what trackers write on this machine."""

More = ParamSpec("More")
Report = Callable[Concatenate["ExperimentTracker", More], None]


def _outlived(report: Report[More]) -> Report[More]:
    """A method after whose failure the run goes on, without the tracker."""

    def perhaps(self: "ExperimentTracker", /, *args: More.args, **kwargs: More.kwargs) -> None:
        if self._opened is None:
            return
        try:
            report(self, *args, **kwargs)
        except Exception as error:
            self._opened = None
            progress.announce(
                f"the tracker '{self.use}' failed ({type(error).__name__}: {error}); the run goes on without "
                "it"
            )

    return wraps(report)(perhaps)


class ExperimentTracker(Tracker):
    """A tracker of accelerate's: the run's numbers, at each iteration and each measurement."""

    package: ClassVar[str]
    """The module that must be installed."""

    project: str = "collapse"
    """What the runs are collected under."""
    texts: bool = False
    """Send texts too: examples of what the model answers, names of baselines, and texts of the recipe. They
    may be what is to be forgotten."""
    directory: str | None = None
    """Where files go, by default into the folder `tracking` of the run's directory."""
    options: dict[str, Any] = {}
    """Further arguments of the tracker's own start function."""

    _opened: "Opened | None" = PrivateAttr(default=None)
    _step: int = PrivateAttr(default=0)
    _baselines: list[str] = PrivateAttr(default_factory=list)

    def arguments(self, folder: Path, name: str, known: str | None) -> dict[str, Any]:
        """Return what the tracker's start function is given.

        Args:
            folder: Where its files go; it exists.
            name: What the run is called.
            known: By what the tracker knows a run that is resumed; None where it begins.
        """
        return {}

    def environment(self, folder: Path) -> dict[str, str]:
        """Return variables to be set before the tracker is imported, where they are not."""
        return {}

    def on_start(self, directory: Path, recipe: Settings) -> None:
        """Open the tracker's run, the same again where this one is resumed."""
        folder = Path(self.directory) if self.directory else directory / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        record = directory / FOLDER / f"{self.use.replace('/', '-')}-{self.digest()}.json"
        record.parent.mkdir(exist_ok=True)
        known = files.read_json(record)["run"] if record.exists() else None
        self._opened = self._open(folder, str(getattr(recipe, "name", "run")), known)
        files.write_json(record, {"run": self._opened.run})
        whole = recipe.model_dump(mode="json", by_alias=True)
        self._opened.configure(dict(_all_settings(whole) if self.texts else _settings(recipe)))

    def _open(self, folder: Path, name: str, known: str | None) -> "Opened":
        if find_spec(self.package) is None:
            package = self.package.replace("_", "-")
            raise CollapseError(
                f"the tracker '{self.use}' needs the package '{package}', which is not installed: "
                f"pip install {package}"
            )
        for variable, value in self.environment(folder).items():
            os.environ.setdefault(variable, value)
        try:
            from collapse_core.torch.tracking import open_tracker
        except ModuleNotFoundError as error:
            purpose = f"the tracker '{self.use}', like all of accelerate's,"
            raise errors.missing_extra(str(error.name), "torch", purpose) from None
        try:
            arguments = self.arguments(folder, name, known) | self.options
            return open_tracker(self.package, self.project, folder, arguments)
        except Exception as error:
            raise CollapseError(
                f"the tracker '{self.use}' cannot be opened ({type(error).__name__}: {error}); mend that, or "
                "take it out of 'track'"
            ) from error

    @_outlived
    def on_rewind(self, iteration: int) -> None:
        """Have what was reported later than this dropped, where the tracker can."""
        self._step = iteration
        if self._opened:
            self._opened.rewind(iteration)

    @_outlived
    def on_iteration(self, line: Mapping[str, object], total: int) -> None:
        """Report an iteration: its rewards, its counts, its losses."""
        self._step = int(str(line["iteration"])) + 1
        self._report({f"iteration/{key}": value for key, value in _numbers(_without_prompts(line))})

    @_outlived
    def on_evaluation(self, row: Mapping[str, object]) -> None:
        """Report what an evaluator found, with the ends of its intervals."""
        model = self._name_of(str(row["model"]))
        found = dict(_numbers(row["metrics"]))
        metrics = {key.removesuffix(".value"): value for key, value in found.items()}
        self._report({f"{model}/{key}": value for key, value in metrics.items()})
        if self.texts and row.get("examples") and self._opened:
            text = json.dumps(row["examples"], ensure_ascii=False)
            self._opened.log_text(f"{model}/{row['evaluator']}", text, self._step)

    @_outlived
    def on_end(self, status: str) -> None:
        """Close the tracker's run."""
        if self._opened:
            self._opened.close()
        self._opened = None

    def _report(self, values: Mapping[str, float]) -> None:
        if values and self._opened:
            self._opened.log(values, self._step)

    def _name_of(self, model: str) -> str:
        """What a measured model is called there: baselines have names of a user's, which are texts."""
        if model in ("before", "during", "after"):
            return "evaluation"
        if model not in self._baselines:
            self._baselines.append(model)
        return model if self.texts else f"baseline-{self._baselines.index(model) + 1}"


def _without_prompts(line: Mapping[str, object]) -> dict[str, object]:
    """A line of the journal without the guard's lists of prompts, and without its own number."""
    guard = line.get("guard")
    share = {"guard": {"pass_share": guard.get("pass_share")}} if isinstance(guard, Mapping) else {}
    return {key: value for key, value in line.items() if key not in ("iteration", "guard")} | share


def _numbers(value: object, above: str = "") -> Iterator[tuple[str, float]]:
    """Each number in a mapping of mappings, with its path; neither texts nor lists."""
    if isinstance(value, Mapping):
        for key, piece in value.items():
            yield from _numbers(piece, f"{above}.{key}" if above else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield above, float(value)


def _settings(value: object, path: str = "") -> Iterator[tuple[str, float | str | bool]]:
    """Each number, switch and name of a part in a recipe, with its path.

    Other texts can be names, paths or words that are to be forgotten, and so can the keys of mappings.
    """
    if isinstance(value, Settings):
        for key in type(value).model_fields:
            yield from _settings(getattr(value, key), f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, piece in enumerate(value):
            yield from _settings(piece, f"{path}.{number}")
    elif isinstance(value, bool | int | float) or (isinstance(value, str) and path.endswith(".use")):
        yield path, value


def _all_settings(value: object, path: str = "") -> Iterator[tuple[str, float | str | bool]]:
    """Each setting in the plain data of a recipe, with its path."""
    if isinstance(value, Mapping | list):
        pieces = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, piece in pieces:
            yield from _all_settings(piece, f"{path}.{key}".lstrip("."))
    elif isinstance(value, bool | int | float | str):
        yield path, value


# --- each tracker ----------------------------------------------------------------------------------


class TensorBoard(ExperimentTracker):
    """Event files for TensorBoard, on this machine: `tensorboard --logdir RUN/tracking`."""

    package: ClassVar[str] = "tensorboard"


class WandB(ExperimentTracker):
    """Weights & Biases; without `mode: online` it writes files that `wandb sync` can send later."""

    package: ClassVar[str] = "wandb"

    mode: str = "offline"
    """ "offline", "online" or "shared"."""

    def arguments(self, folder: Path, name: str, known: str | None) -> dict[str, Any]:
        """Return the run's name, its id, and where to."""
        resumed = {"id": known, "resume": "allow"} if known else {}
        # Its reading of the console, of the command and of the repository would send texts.
        settings = {"console": "off", "disable_git": True, "save_code": False, "x_disable_meta": True}
        return {"name": name, "dir": str(folder), "mode": self.mode, "settings": settings, **resumed}

    def environment(self, folder: Path) -> dict[str, str]:
        """Say nothing of errors to the maker, and nothing on the console."""
        return {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}


class MlFlow(ExperimentTracker):
    """MLflow; by default on this machine, else at `tracking_uri`."""

    package: ClassVar[str] = "mlflow"

    tracking_uri: str | None = None
    """A server or a store; by default in the folder `tracking` of the run's directory."""

    def arguments(self, folder: Path, name: str, known: str | None) -> dict[str, Any]:
        """Return the run's name, or its id, and the store, whatever the environment names."""
        run = {"run_id": known} if known else {"run_name": name}
        if self.tracking_uri:
            return {"tracking_uri": self.tracking_uri, **run}
        whole = find_spec("sqlalchemy") is not None  # mlflow-skinny has no databases
        store = f"sqlite:///{(folder / 'mlflow.db').resolve()}" if whole else folder.resolve().as_uri()
        return {"tracking_uri": store, "logging_dir": str(folder / "mlflow-artifacts"), **run}

    def environment(self, folder: Path) -> dict[str, str]:
        """Turn the maker's counting of its users off, and let mlflow-skinny write files."""
        return {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}


class Trackio(ExperimentTracker):
    """trackio, on this machine unless `space_id` names a Space on the hub."""

    package: ClassVar[str] = "trackio"

    space_id: str | None = None
    """A Space on the hub to log to."""

    def arguments(self, folder: Path, name: str, known: str | None) -> dict[str, Any]:
        """Return the run's name, by which it is found again."""
        unique = known or f"{name}-{uuid4().hex[:8]}"
        return {"name": unique, "resume": "allow", "space_id": self.space_id, "embed": False}

    def environment(self, folder: Path) -> dict[str, str]:
        """Say where its files go."""
        return {"TRACKIO_DIR": str((folder / "trackio").resolve())}


class SwanLab(ExperimentTracker):
    """SwanLab; without `mode: cloud` it writes files on this machine."""

    package: ClassVar[str] = "swanlab"

    mode: str = "offline"
    """ "offline", "local" or "cloud"."""

    def arguments(self, folder: Path, name: str, known: str | None) -> dict[str, Any]:
        """Return the run's name, its id, and where to."""
        resumed = {"id": known, "resume": "allow"} if known else {}
        # Its reading of the console, of the command and of the repository would send texts.
        settings = {"terminal": {"proxy_type": "none"}, "probe": {"runtime": False, "git": False}}
        where = {"logdir": str(folder / "swanlab"), "mode": self.mode}
        return {"experiment_name": name, "settings": settings, **where, **resumed}


class CometMl(ExperimentTracker):
    """Comet; without `online: true` it writes archives that `comet upload` can send later."""

    package: ClassVar[str] = "comet_ml"

    online: bool = False
    """Send to the server."""

    def environment(self, folder: Path) -> dict[str, str]:
        """Say nothing of errors to the maker, and nothing on the console."""
        return {"COMET_ERROR_TRACKING_ENABLE": "false", "COMET_LOGGING_CONSOLE": "ERROR"}

    def arguments(self, folder: Path, name: str, known: str | None) -> dict[str, Any]:
        """Return the run's name and key, and where to."""
        # Its reading of the console, of the command and of the repository would send texts.
        quiet = dict.fromkeys(("log_code", "parse_args", "log_git_metadata", "log_git_patch"), False)
        quiet |= dict.fromkeys(("log_env_details", "log_graph", "auto_param_logging"), False)
        config = {"name": name, "offline_directory": str(folder / "comet"), "auto_output_logging": False}
        resumed = {"experiment_key": known, "mode": "get_or_create"} if known else {}
        return {"online": self.online, "experiment_config": config | quiet, **resumed}
