"""Everything a user can be told went wrong. The only place that words it."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


class CollapseError(Exception):
    """Something that the user can mend; its text says what, where and how."""

    exit_code = 1


class PluginError(CollapseError):
    """A plugin that is needed cannot be used."""

    exit_code = 3


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a recipe."""

    file: str
    line: int
    column: int
    path: str
    what: str

    def __str__(self) -> str:
        """As compilers print it: file:line:column: path: what."""
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.path}: {self.what}" if self.path else f"{where}: {self.what}"


class RecipeError(CollapseError):
    """A recipe that cannot be run, with all its problems."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], exit_code: int = 2) -> None:
        """Take the problems, in the order of the file."""
        self.problems = sorted(problems)
        self.exit_code = exit_code
        super().__init__("\n".join(map(str, self.problems)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A closing phrase that proposes the nearest known word, or lists them all."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(known)}" if known else "none are known"


# --- recipes ---------------------------------------------------------------------------------------


def unknown_key(key: str, known: Iterable[str]) -> str:
    """A key that means nothing where it stands."""
    return f"unknown key '{key}'; {did_you_mean(key, known)}"


def unknown_part(kind: str, name: str, known: Iterable[str]) -> str:
    """A part that no plugin provides."""
    return f"no {kind} is called '{name}'; {did_you_mean(name, known)}"


def ambiguous_part(kind: str, name: str, owners: Iterable[str]) -> str:
    """A part that several plugins provide."""
    choices = " or ".join(f"'use: {owner}/{name}'" for owner in sorted(owners))
    return f"more than one plugin provides the {kind} '{name}'; write {choices}"


def broken_part(kind: str, name: str, distribution: str, why: str) -> str:
    """A part whose plugin does not load."""
    return f"the {kind} '{name}' of {distribution} cannot be loaded: {why}; see 'collapse plugins doctor'"


def not_a_part(kind: str, name: str, found: object) -> str:
    """An entry that is not what it claims."""
    return f"'{name}' is registered as a {kind} but is {found!r}, no subclass of the interface"


NO_USE = "expected a mapping with 'use: <name>'"


def needs_targets(use: str, part: str) -> str:
    """A part that asks for true answers where the run must not give them."""
    return f"{part} '{use}' was given no true answers; a part that needs them sets needs_targets = True"


def unreadable(path: Path, error: OSError) -> CollapseError:
    """A file that cannot be read."""
    return CollapseError(f"{path}: cannot be read: {error.strerror or error}")


# --- data and models -------------------------------------------------------------------------------


def no_split(dataset: str, split: str, known: Iterable[str]) -> CollapseError:
    """A split that the data set does not have."""
    return CollapseError(f"the data set '{dataset}' has no split '{split}'; {did_you_mean(split, known)}")


def bad_row(path: object, line: int, what: str) -> CollapseError:
    """A line of a data file that is not what it should be."""
    return CollapseError(f"{path}:{line}: {what}")


def missing_extra(package: str, extra: str, purpose: str) -> CollapseError:
    """A library that an optional extra brings."""
    return CollapseError(
        f"{purpose} needs the package '{package}'; install it with pip install 'collapse-unlearning[{extra}]'"
    )


def nothing_to_forget(dataset: str) -> CollapseError:
    """An empty forget set."""
    return CollapseError(f"the data set '{dataset}' has an empty forget split; there is nothing to unlearn")


# --- the loop --------------------------------------------------------------------------------------


def wrong_number_of_scores(reward: str, prompt: str, got: int, wanted: int) -> CollapseError:
    """A reward that returned too few or too many scores."""
    return CollapseError(
        f"the reward '{reward}' returned {got} scores for {wanted} completions of prompt {prompt!r}; "
        "it must return one a completion, None to abstain"
    )


def score_not_finite(reward: str, prompt: str, scores: object) -> CollapseError:
    """A reward that returned NaN or infinity."""
    return CollapseError(
        f"the reward '{reward}' returned {scores} for prompt {prompt!r}; a score must be a finite "
        "number, or None to abstain"
    )


def loss_not_finite(iteration: int, loss: float) -> CollapseError:
    """A training step that diverged."""
    return CollapseError(
        f"the loss became {loss} in iteration {iteration}; nothing was saved from it. Lower the "
        "updater's learning_rate and resume from the last checkpoint"
    )


# --- the run directory -----------------------------------------------------------------------------


def directory_in_use(path: Path) -> CollapseError:
    """A run directory that already holds something."""
    return CollapseError(
        f"{path} already holds a run; give another --run-dir, or continue it with 'collapse resume {path}'"
    )


def run_is_locked(path: Path) -> CollapseError:
    """A run that another process is working on."""
    return CollapseError(f"{path} is being worked on by another process; wait for it or stop it first")


def no_run(path: Path) -> CollapseError:
    """A directory that holds no run."""
    return CollapseError(f"{path} holds no run (there is no resolved.json in it)")


def already_finished(path: Path) -> CollapseError:
    """A run that has nothing left to do."""
    return CollapseError(f"{path} is finished; read its report with 'collapse report {path}'")


def recipe_changed(path: Path, keys: Sequence[str]) -> RecipeError:
    """A run whose recipe is no longer the one that it began with."""
    return RecipeError(
        [
            Problem(str(path), 0, 0, key, "differs from the recipe that this run began with; start a new run")
            for key in keys
        ]
    )


def no_evaluations(path: Path) -> CollapseError:
    """A report on nothing."""
    return CollapseError(f"{path} has recorded neither iterations nor evaluations yet")
