"""Opening accelerate's trackers without its Accelerator, which collapse does not train with."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS

IDENTITIES: Mapping[str, Callable[[Any], str]] = {
    "wandb": lambda run: run.id,
    "mlflow": lambda run: run.info.run_id,
    "trackio": lambda run: run.name,
    "swanlab": lambda run: run.id,
    "comet_ml": lambda run: run.get_key(),
}
"""How the own object of a tracker says by what its run is known; others go by their folder."""


def _table(text: str) -> Any:
    import wandb

    return wandb.Table(columns=["examples"], data=[[text]])


def _swanlab(text: str) -> Any:
    import swanlab

    return swanlab.Text(text)


TEXTS: Mapping[str, Callable[[str], Any]] = {
    "tensorboard": str,
    "comet_ml": str,
    "trackio": str,
    "wandb": _table,
    "swanlab": _swanlab,
}
"""What a text becomes for each tracker that takes it as it takes numbers."""


class Opened:
    """A tracker of accelerate's whose run is open."""

    def __init__(self, name: str, tracker: Any) -> None:
        """Take a tracker that has been started."""
        self.name = name
        self.tracker = tracker
        self.run = IDENTITIES[name](tracker.tracker) if name in IDENTITIES else name
        """By what the tracker knows the run."""

    def configure(self, settings: Mapping[str, float | str | bool]) -> None:
        """Report the settings of the run."""
        if self.name == "tensorboard":  # accelerate would make a run of its own for them
            table = "".join(f"| {key} | {value} |\n" for key, value in settings.items())
            self.tracker.tracker.add_text("recipe", f"| key | value |\n|---|---|\n{table}")
        else:
            self.tracker.store_init_configuration(dict(settings))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Report numbers at a step."""
        self.tracker.log({_accepted(key): value for key, value in values.items()}, step=step)

    def log_text(self, key: str, text: str, step: int) -> None:
        """Report a text at a step, in the tracker's own kind of text."""
        if self.name in TEXTS:
            self.tracker.log({_accepted(key): TEXTS[self.name](text)}, step=step)
        else:
            import mlflow

            mlflow.log_text(text, f"{_accepted(key)}-{step}.json")

    def rewind(self, step: int) -> None:
        """Drop what comes later than a step; only TensorBoard can, others get the same steps again."""
        if self.name == "tensorboard":
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog

            writer = self.tracker.tracker.file_writer
            start = SessionLog(status=SessionLog.START)
            writer.add_event(Event(step=step + 1, session_log=start))

    def close(self) -> None:
        """End the run."""
        self.tracker.finish()


def open_tracker(package: str, project: str, folder: Path, arguments: Mapping[str, Any]) -> Opened:
    """Start a tracker.

    Args:
        package: The name that accelerate knows it by.
        project: What its runs are collected under.
        folder: Where its files go.
        arguments: What its own start function is given; "tracking_uri" is MLflow's store.
    """
    PartialState()  # accelerate's logging asks for it
    kind, given = LOGGER_TYPE_TO_CLASS[package], dict(arguments)
    if package == "mlflow":
        import mlflow

        mlflow.set_tracking_uri(given.pop("tracking_uri"))
    elif package == "swanlab":
        import swanlab

        given["settings"] = swanlab.Settings(**given["settings"])
    elif package == "comet_ml":
        import comet_ml

        given["experiment_config"] = comet_ml.ExperimentConfig(**given["experiment_config"])
    where = [str(folder / package)] if kind.requires_logging_directory else []
    tracker = kind(project, *where, **given)
    tracker.start()
    return Opened(package, tracker)


def _accepted(key: str) -> str:
    """A key as every tracker takes it."""
    return re.sub(r"[^0-9A-Za-z_./ -]", "_", key)
