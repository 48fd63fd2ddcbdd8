"""Checkpoints: the model and the state of a run, from which it can go on."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collapse_core.contracts.interfaces import Model
from collapse_core.contracts.state import State
from collapse_core.contracts.types import PromptSet
from collapse_core.runtime import files, progress
from collapse_core.runtime.processes import Processes


def checkpoints(directory: Path) -> list[Path]:
    """The whole checkpoints of a run directory, oldest first."""
    return _whole(directory / "checkpoints")


def _whole(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("*") if path.name.isdecimal() and files.is_sealed(path)]
    return sorted(found, key=lambda path: int(path.name))


@contextmanager
def to_fill(processes: Processes, path: Path) -> Iterator[Path]:
    """An empty directory; elsewhere than on the main process one that is thrown away.

    All processes save, since each may hold but a part of the model, and the main one gets it whole.
    """
    if processes.is_main:
        with files.naming(path):
            yield files.fresh_directory(path)
        return
    with tempfile.TemporaryDirectory() as elsewhere:
        yield Path(elsewhere)


class Checkpoints:
    """The checkpoints of one run; all its processes save and restore together."""

    def __init__(self, folder: Path, keep: int, processes: Processes) -> None:
        """Take the folder they are in, how many of them are kept, and the processes of the run."""
        self.folder = folder
        self.keep = keep
        self.processes = processes

    def save(self, model: Model, state: State) -> None:
        """Make a checkpoint, and drop those that are too old."""
        with to_fill(self.processes, self.folder / str(state.iteration)) as directory:
            model.save(directory)
            self.processes.on_main(lambda: self._seal(directory, state))

    def restore(self, model: Model, forget: PromptSet) -> State | None:
        """Bring the model back to the last sound checkpoint, and give its state; None where there is none."""
        self.processes.on_main(self._drop_damaged)
        self.processes.on_main(self._drop_old)
        found = _whole(self.folder)
        if not found:
            return None
        model.restore(found[-1])
        prompts = {prompt.id: prompt for prompt in forget}
        return State.from_json(files.read_json(found[-1] / "state.json"), prompts)

    def _seal(self, directory: Path, state: State) -> None:
        files.write_tables(directory / "state.json", state.tables())
        files.seal(directory)
        self._drop_old()

    def _drop_damaged(self) -> None:
        """Remove the last checkpoints as long as they are not what was sealed, and report that."""
        for path in reversed(_whole(self.folder)):
            if not (names := files.damaged(path)):
                return
            progress.announce(
                f"the checkpoint {path} is damaged ({', '.join(names)}) and is not used; "
                "going on from the one before, or from the start"
            )
            shutil.rmtree(path)

    def _drop_old(self) -> None:
        """Keep the last whole checkpoints; what is older, or was not finished, goes."""
        kept = _whole(self.folder)[-self.keep :]
        for path in self.folder.iterdir():
            if path not in kept:
                files.remove(path)
