"""A run from Python: begun or gone on with, shown while it works, and handed back with its results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from collapse_core.contracts.callbacks import Callback
from collapse_core.contracts.interfaces import Model
from collapse_core.loop import collapse
from collapse_core.recipe.building import build_recipe
from collapse_core.recipe.recipe import Recipe
from collapse_core.recipe.stored import check_same, load_stored
from collapse_core.results.results import Results, load_results
from collapse_core.run.directory import create_run, open_run
from collapse_core.run.run import Run
from collapse_core.runtime.processes import StoppedGently
from collapse_core.runtime.progress import listening
from collapse_core.session.stopping import stopping_gently


class Outcome(NamedTuple):
    """What a run has made."""

    model: Model
    """The model that has forgotten, in memory."""
    results: Results
    """What the run recorded; `results.frame()` is its metrics as a pandas frame."""


def run(
    recipe: Recipe | Path | str | None = None,
    /,
    *,
    directory: Path | str | None = None,
    callbacks: Sequence[Callback] = (),
    display: bool = True,
    **keys: Any,
) -> Outcome:
    """Run a recipe as `collapse run` does, on this process alone.

    The first interrupt lets the iteration finish, the second stops at once; `resume` goes on in either case.

    Args:
        recipe: A recipe, or the file of one; by default it is made of `keys` alone.
        directory: Where the run is recorded; by default runs/<name>/<time>-<digest>.
        callbacks: What observes the run.
        display: Whether it is shown how the run goes: in a notebook below the cell, else on stderr.
        **keys: Keys of the recipe, as `build_recipe` takes them.

    Raises:
        RecipeError: The recipe is wrong; with every problem that was found.
        CollapseError: Something that the user can fix.
        KeyboardInterrupt: The run was interrupted.
    """
    built = recipe if isinstance(recipe, Recipe) and not keys else build_recipe(recipe, **keys)
    return _work(create_run(built, directory=Path(directory) if directory else None), callbacks, display)


def resume(
    directory: Path | str,
    recipe: Recipe | None = None,
    /,
    *,
    callbacks: Sequence[Callback] = (),
    display: bool = True,
) -> Outcome:
    """Go on with an interrupted run from its last checkpoint, as `collapse resume` does.

    Args:
        directory: The run's directory.
        recipe: The recipe that it began with; needed only where a part is of a class that no plugin provides,
            such as one that is defined in a notebook.
        callbacks: What observes the run.
        display: Whether it is shown how the run goes.

    Raises:
        RecipeError: The recipe, or a file that the run began with, has changed since.
        CollapseError: There is no run, or it is finished.
        KeyboardInterrupt: The run was interrupted again.
    """
    path = Path(directory)
    if recipe is None:
        recipe = load_stored(path)
    else:
        check_same(path, recipe)
    return _work(open_run(path, recipe), callbacks, display)


def _work(run: Run, callbacks: Sequence[Callback], display: bool) -> Outcome:
    """Run the loop until it ends or is stopped, and leave a report."""
    from collapse_core.handover.writing import write_handover
    from collapse_core.report.report import write_report  # not at once: a command that runs nothing is to
    from collapse_core.session.notebook import display_of  # answer at once, without rich and jinja2

    again = f"go on with collapse_core.resume({str(run.directory)!r})"
    shown = display_of(run, display)
    try:
        with listening(shown.progress), stopping_gently(run, shown.say):
            model = collapse(run.recipe, run, [shown, *callbacks])
        if run.stopped:
            raise StoppedGently("stopped after an iteration")
        write_handover(run.directory, run.recipe)
        write_report([run.directory], run.directory / "report.html")
    except BaseException as error:
        error.add_note(again)
        shown.say(again)
        raise
    finally:
        shown.close()
        run.close()
    return Outcome(model, load_results(run.directory))
