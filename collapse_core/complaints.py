"""How the guard and the core's own parts word what went wrong; `errors` words the rest."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from collapse_core.errors import CollapseError

_TROUBLES = {
    "nothing_passes": "no completion has passed for {turns} of {prompts}",
    "less_passes": "a smaller share than before has passed in the last {turns} of {prompts}",
}


def trouble(kind: str, prompts: Sequence[str], patience: int) -> str:
    """What the guard has found with prompts like these."""
    more = f" and {len(prompts) - 3} more" if len(prompts) > 3 else ""
    named = "prompts like " + ", ".join(f"'{prompt}'" for prompt in prompts[:3]) + more
    return _TROUBLES[kind].format(turns=f"{patience} turn{'s' * (patience > 1)}", prompts=named)


def guard_stops(iteration: int, kind: str, prompts: Sequence[str], patience: int) -> CollapseError:
    """A run that does not forget, and is to end then."""
    return CollapseError(
        f"the guard stopped the run after iteration {iteration}: {trouble(kind, prompts, patience)}; see its "
        "completions, then change 'rewards', 'guard' or 'completions_per_prompt' and start a new run"
    )


def no_temperature(sampler: str) -> str:
    """A guard that is to raise what the sampler does not have."""
    return f"the sampler '{sampler}' has no temperature to raise; choose another 'then'"


def no_reference() -> CollapseError:
    """A draw from the model before unlearning, which nobody has kept."""
    return CollapseError(
        "the model before unlearning was not kept; a sampler that draws twins must call keep_reference() "
        "in sample_references()"
    )


def nothing_to_contrast_with(reward: str) -> CollapseError:
    """A reward that compares with retain data, of which there is none."""
    return CollapseError(
        f"the reward '{reward}' compares with the split 'retain', which is empty; retain some data or "
        "choose another reward"
    )


def no_function(function: str, why: str) -> str:
    """A reward that is a function which cannot be found."""
    return (
        f"the reward function '{function}' cannot be had: {why}; name an installed module, or a file that "
        "the recipe lists under 'plugins', as 'module:name'"
    )


def unknown_parameters(function: str, unknown: Iterable[str], known: Iterable[str]) -> CollapseError:
    """A reward function that asks for what it is not given."""
    return CollapseError(
        f"the reward function '{function}' asks for {', '.join(unknown)}; it may ask for {', '.join(known)}"
    )


# --- comparing runs --------------------------------------------------------------------------------

UNLIKE_DATA = "the runs were not made on the same data, so their metrics answer different questions"
UNLIKE_MODELS = "the runs did not begin with the same model; look at each beside its own 'before'"
UNLIKE_EVALUATORS = "the runs were not measured with the same evaluators, or not with the same settings"
UNLIKE_HARDWARE = "the runs were made on different machines, so their times cannot be compared"


def broken_run(path: Path, why: str) -> CollapseError:
    """A run directory whose files are not what a run writes."""
    return CollapseError(f"{path} is broken: {why}; restore it from a copy, or leave the run out")


def left_out(run: Path, how_far: str) -> str:
    """A run that is not compared, since it has not come to its end."""
    return f"{run} is left out: {how_far}; go on with 'collapse resume {run}'"


def same_seed(row: str) -> str:
    """Runs that should differ in their seed, and do not even in that."""
    return f"several runs of '{row}' have the same seed, so their interval over seeds is too narrow"


def nothing_to_compare(notes: Sequence[str]) -> CollapseError:
    """A comparison of no finished run."""
    return CollapseError("; ".join(["there is no finished run to compare", *notes]))


def metric_not_measured(metric: str, option: str, known: Iterable[str]) -> CollapseError:
    """A metric by which runs are to be compared, and which none of them has."""
    names = ", ".join(known)
    there = f"choose another with {option}: {names}" if names else "nothing was; see 'collapse eval'"
    return CollapseError(f"the metric '{metric}' was measured in none of these runs; {there}")


def no_direction(metric: str, option: str) -> CollapseError:
    """A metric of which nobody knows which way is better."""
    return CollapseError(
        f"which way '{metric}' is better is not known; write {option} {metric}:up or {option} {metric}:down"
    )


# --- measuring after the fact ----------------------------------------------------------------------

NO_FIELD = "expected name:field=value, or a mapping such as '{use: name, field: value}'"


def no_recipe(target: str | None) -> CollapseError:
    """A model that nobody has said how to measure."""
    if target is None:
        return CollapseError("nothing says what to measure; give a run, or a recipe with --recipe")
    return CollapseError(
        f"{target} is no run, so nothing says what to measure it by; give a recipe with --recipe, which says "
        "the data, how the model is loaded, and the evaluators"
    )


def nothing_to_measure(where: object) -> CollapseError:
    """A recipe without evaluators."""
    return CollapseError(f"{where} names no evaluators; name some with --with")


def no_checkpoint(run: Path) -> CollapseError:
    """A run that has lost its checkpoints, or has not come to the first."""
    return CollapseError(
        f"{run} has no whole checkpoint to measure; measure its exported model instead: "
        f"'collapse eval {run / 'model'} --recipe {run / 'recipe.yaml'}'"
    )


def not_openable(path: str, model: str) -> CollapseError:
    """A model that comes from data alone."""
    return CollapseError(
        f"the model '{model}' is made from data and cannot be opened from '{path}' (it has no field 'path'); "
        "give the run directory instead"
    )


# --- sweeps ----------------------------------------------------------------------------------------

ANOTHER_RUN = "its directory holds a run of another recipe; move it away, or give another --dir"
SAID_NOTHING = "it ended without a word"


def ended_by(signal: int) -> str:
    """A member that something killed."""
    return f"its process was ended by signal {signal}"


def job_ended(job: object, why: str) -> str:
    """A member whose job ended, and not its run."""
    return f"its job {job} ended before its run: {why}"


def launcher_refuses(launcher: str, error: Exception) -> CollapseError:
    """A launcher that cannot be used in this way."""
    what = " ".join(str(error).split()) or type(error).__name__
    return CollapseError(f"{launcher} refuses: {what}; change --launcher-set")


def members_failed(failed: int, total: int, sweep: Path) -> CollapseError:
    """A sweep of which not all is done."""
    return CollapseError(
        f"{failed} of {total} members failed; see {sweep / 'logs'}, then sweep again, which goes on with them"
    )
