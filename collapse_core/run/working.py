"""What goes on around the loop while it works on a run."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from collapse_core.recipe.recipe import Recipe
from collapse_core.run.run import Run
from collapse_core.runtime.decisions import recorded_in

More = ParamSpec("More")
Result = TypeVar("Result")
Loop = Callable[Concatenate[Recipe, Run, More], Result]


def working(loop: Loop[More, Result]) -> Loop[More, Result]:
    """Have the run show signs of life, and keep to what it has decided, while `loop` works on it."""

    @wraps(loop)
    def with_run(recipe: Recipe, run: Run, /, *args: More.args, **kwargs: More.kwargs) -> Result:
        beating = run.heartbeat.beating() if run.processes.is_main else nullcontext()
        with recorded_in(run.directory / "environment.json", writable=True), beating:
            return loop(recipe, run, *args, **kwargs)

    return with_run
