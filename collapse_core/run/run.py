"""A run at work: what it records in its directory, written so that a kill loses nothing."""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import wraps
from pathlib import Path
from typing import IO, Any, Concatenate, ParamSpec, TypeVar, cast

from collapse_core.contracts.callbacks import Callback
from collapse_core.contracts.interfaces import Model
from collapse_core.contracts.state import State
from collapse_core.contracts.types import Group, Iteration, Kept, PromptSet
from collapse_core.errors import CollapseError
from collapse_core.recipe.recipe import Recipe
from collapse_core.run.checkpoints import Checkpoints, to_fill
from collapse_core.run.heartbeat import Heartbeat
from collapse_core.run.journal import all_abstained, completion_rows, journal_line
from collapse_core.runtime import cache, files, progress
from collapse_core.runtime.decisions import recorded_in
from collapse_core.runtime.digests import sha256
from collapse_core.runtime.layout import FOLDERS, MODEL
from collapse_core.runtime.processes import Processes, current

Writes = TypeVar("Writes", bound=Callable[..., None])
More = ParamSpec("More")
Result = TypeVar("Result")
Loop = Callable[Concatenate[Recipe, "Run", More], Result]


def _by_main(method: Writes) -> Writes:
    """A method that writes; on other processes than the main one it does nothing."""

    @wraps(method)
    def perhaps(self: "Run", *args: Any, **kwargs: Any) -> None:
        if self.processes.is_main:
            method(self, *args, **kwargs)

    return cast(Writes, perhaps)


class Run:
    """One run's directory, open for work: the main process writes, those that work with it only read."""

    def __init__(self, directory: Path, recipe: Recipe, processes: Processes | None = None) -> None:
        """Open a directory that `create_run` or `open_run` has checked; the main process locks it."""
        self.directory = directory
        self.recipe = recipe
        self.processes = processes or current()
        """Those that work on the run together."""
        self.interrupted = False
        """Set by a signal: stop after this iteration."""
        self.stopped = False
        """True once all processes have agreed to stop."""
        self.finished = False
        """True once the final model is exported."""
        self.callbacks: tuple[Callback, ...] = ()
        self.heartbeat = Heartbeat(directory / "status.json")
        """Writes what the run does right now."""
        self._phase: tuple[str, float] | None = None
        self._iteration = 0
        self.checkpoints = Checkpoints(directory / "checkpoints", recipe.checkpoint.keep, self.processes)
        self._lock = lock(directory) if self.processes.is_main else None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Show signs of life while the block runs, keep to what the run has decided, and say how it ended."""
        beating = self.heartbeat.beating() if self.processes.is_main else nullcontext()
        recorded = recorded_in(self.directory / "environment.json", writable=True)
        with recorded, beating, cache.listening(self._note_cached):
            try:
                yield
            except KeyboardInterrupt:
                self.status("interrupted")
                self._end("interrupted")
                raise
            except (Exception, SystemExit) as error:
                with suppress(OSError):  # a full disk has no room for this either
                    self.status("failed", error=str(error) or type(error).__name__)
                with suppress(Exception):  # what ended the run is what must be seen
                    self._end("failed")
                raise
        if self.stopped:
            self.status("interrupted")
        self._end("interrupted" if self.stopped else "finished")

    # --- observing ---------------------------------------------------------------------------------

    @_by_main
    def observe(self, *callbacks: Callback) -> None:
        """Call these from now on, on the main process, until the run ends."""
        for callback in callbacks:
            callback.on_start(self.directory, self.recipe)
            self.callbacks += (callback,)

    @_by_main
    def _end(self, status: str) -> None:
        for callback in self.callbacks:
            callback.on_end(status)

    @property
    def phase(self) -> str | None:
        """The phase that is going on; None before the first."""
        return self._phase[0] if self._phase else None

    @_by_main
    def enter(self, phase: str) -> None:
        """A phase begins: note how long the last one took, and show a sign of life."""
        now = time.monotonic()
        if self._phase:
            name, began = self._phase
            row = {"iteration": self._iteration, "phase": name, "seconds": round(now - began, 4)}
            files.append_line(self.directory / "timings.jsonl", row)
        self._phase = (phase, now)
        self.status("running", phase=phase)
        for callback in self.callbacks:
            callback.on_phase(phase)

    @_by_main
    def status(self, status: str, **more: object) -> None:
        """Replace status.json."""
        value = {"status": status, "iteration": self._iteration, "of": self.recipe.iterations}
        self.heartbeat.show(value | more)

    # --- recording ---------------------------------------------------------------------------------

    @_by_main
    def record(
        self,
        iteration: Iteration,
        groups: Sequence[Group],
        kept: Sequence[Kept],
        metrics: Mapping[str, float],
        state: State,
    ) -> None:
        """Write an iteration down: its completions, then its line in the journal.

        Raises:
            CollapseError: The guard stops the run.
        """
        self.enter("record")
        if self.recipe.rewards and all_abstained(groups):
            progress.announce(
                f"iteration {iteration.finished}: every reward abstained from every completion, so all "
                "count the same"
            )
        self._iteration = iteration.finished
        if self.recipe.keep_text:
            rows = completion_rows(groups, kept)
            files.write_lines(self._completions(iteration.number), rows)
        num_settled = sum(map(self.recipe.filter.settled, kept))
        line = journal_line(iteration, groups, kept, num_settled, metrics)
        line |= self.recipe.guard.line(groups, state.watched) | self.recipe.stop_line(state)
        files.append_line(self.directory / "journal.jsonl", line)
        for callback in self.callbacks:
            callback.on_iteration(line, iteration.total)
        self.recipe.guard.stop(iteration, state.watched)

    @_by_main
    def evaluated(self, row: Mapping[str, Any]) -> None:
        """Write down what an evaluator found."""
        files.append_line(self.directory / "evaluations.jsonl", row)
        for callback in self.callbacks:
            callback.on_evaluation(row)

    def due(self, every: int, state: State) -> bool:
        """Whether something that happens every so many iterations happens now, before the end."""
        return every > 0 and state.iteration % every == 0 and not self._is_last(state)

    def stops_after(self, state: State) -> bool:
        """Whether no further iteration follows: it was the last, or any process was asked to stop."""
        self.stopped = self.processes.agree(self.interrupted)
        return self.stopped or self._is_last(state)

    def _is_last(self, state: State) -> bool:
        return state.stops or state.iteration == self.recipe.iterations

    # --- what a certificate and a scrub need to know --------------------------------------------------

    @_by_main
    def _note_forgotten(self, forget: PromptSet) -> None:
        """Record how many prompts are to be forgotten, and their digest, never their text."""
        found = {"prompts": len(forget), "digest": sha256([[one.id, one.content] for one in forget])}
        self._note("forgotten", found)

    @_by_main
    def _note_overlap(self) -> None:
        """Record what the data say of their overlap, once."""
        if "overlap" not in self._manifest() and (overlap := self.recipe.data.describe_overlap()):
            self._note("overlap", overlap)

    @_by_main
    def _note_cached(self, name: str) -> None:
        """Record what of the cache the run uses."""
        self._note("caches", sorted({*self._manifest().get("caches", []), name}))

    def _note(self, key: str, value: object) -> None:
        if (manifest := self._manifest()).get(key) != value:
            files.write_json(self.directory / "environment.json", manifest | {key: value})

    def _manifest(self) -> dict[str, Any]:
        path = self.directory / "environment.json"
        return dict(files.read_json(path)) if path.exists() else {}

    # --- checkpoints -------------------------------------------------------------------------------

    def save(self, model: Model, state: State) -> None:
        """Make a checkpoint from which the run can go on, and drop those that are too old."""
        self.enter("save")
        self.checkpoints.save(model, state)

    def restore(self, model: Model, forget: PromptSet) -> State | None:
        """Go back to the last checkpoint: the model, the state, and what had been recorded by then."""
        self.processes.on_main(self._tidy)
        self._note_forgotten(forget)
        self._note_overlap()
        state = self.checkpoints.restore(model, forget)
        self._iteration = state.iteration if state else 0
        self._drop_since(state or State())
        return state

    @_by_main
    def _drop_since(self, state: State) -> None:
        """Drop what was recorded after a state, to be done again; a torn last line goes with it."""
        began = bool(state.references)
        for callback in self.callbacks:
            callback.on_rewind(state.iteration)
        self._rewrite("journal.jsonl", lambda row: row["iteration"] < state.iteration)
        self._rewrite("timings.jsonl", lambda row: began and row["iteration"] <= state.iteration)
        self._rewrite(
            "evaluations.jsonl",
            lambda row: (
                began
                and row["model"] in ("before", "during")
                and row["iteration"] is not None
                and row["iteration"] <= state.iteration
            ),
        )
        for path in (self.directory / "completions").glob("*.jsonl"):
            if int(path.stem) >= state.iteration:
                path.unlink()

    def _rewrite(self, name: str, keeps: Callable[[dict[str, Any]], bool]) -> None:
        path = self.directory / name
        if path.exists():
            files.write_lines(path, [row for row in files.read_lines(path) if keeps(row)])

    def _tidy(self) -> None:
        """Make folders that are gone, and remove what a killed process has left unfinished."""
        for folder in FOLDERS:
            (self.directory / folder).mkdir(exist_ok=True)
        for directory in (self.directory, self.directory / "completions"):
            files.drop_drafts(directory)

    def _completions(self, iteration: int) -> Path:
        return self.directory / "completions" / f"{iteration:05d}.jsonl"

    # --- the end -----------------------------------------------------------------------------------

    def finish(self, model: Model) -> None:
        """Export the final model."""
        self.enter("save")
        with to_fill(self.processes, self.directory / ".model.draft") as draft:
            model.export(draft)
            self.processes.on_main(lambda: self._take_over(draft))
        self.finished = True

    def _take_over(self, draft: Path) -> None:
        shutil.rmtree(self.directory / MODEL, ignore_errors=True)
        draft.rename(self.directory / MODEL)
        self.enter("done")
        self.status("finished")

    def close(self) -> None:
        """Let other processes have the directory."""
        if self._lock:
            self._lock.close()


def lock(directory: Path) -> IO[str]:
    """Keep other processes from working on a run until the file is closed.

    Raises:
        CollapseError: Another one works on it.
    """
    file = (directory / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CollapseError(
            f"{directory} is being worked on by another process; wait for it or stop it first"
        ) from None
    return file


def working(loop: Loop[More, Result]) -> Loop[More, Result]:
    """Have the run show signs of life, and keep to what it has decided, while `loop` works on it."""

    @wraps(loop)
    def with_run(recipe: Recipe, run: Run, /, *args: More.args, **kwargs: More.kwargs) -> Result:
        with run.at_work():
            return loop(recipe, run, *args, **kwargs)

    return with_run
