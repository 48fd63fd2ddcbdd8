"""The members of a sweep: a grid of overrides as runs, each in a directory that shows how far it has come."""

import itertools
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from collapse_core.errors import Problem, RecipeError
from collapse_core.recipe.loading import load_recipe
from collapse_core.recipe.overrides import split_at_commas, split_override
from collapse_core.runtime import files
from collapse_core.runtime.digests import digest, text_digest

LONGEST_NAME = 100
NO_MESSAGE = "it ended without a message"

Standing = Literal["new", "done", "failed", "interrupted", "begun", "another"]
"""The state of a member; "begun" if killed or at work, "another" if its directory holds another run."""


@dataclass(frozen=True)
class Member:
    """One run of a sweep."""

    name: str
    recipe: Path
    overrides: tuple[str, ...]
    sweep: Path
    """The directory of the sweep."""
    digest: str
    """Of the recipe with its overrides, every default spelled out."""

    @property
    def directory(self) -> Path:
        """Its run directory."""
        return self.sweep / self.name

    @property
    def log(self) -> Path:
        """What it printed, over all attempts."""
        return self.sweep / "logs" / f"{self.name}.log"

    def absolute(self) -> "Member":
        """The same with absolute paths, for machines that share the disk."""
        return replace(self, recipe=self.recipe.resolve(), sweep=self.sweep.resolve())

    def state(self) -> Standing:
        """Its state, read from its run directory."""
        if not (self.directory / "resolved.json").exists():
            return "new"
        try:
            if _digest(files.read_json(self.directory / "resolved.json")["recipe"]) != self.digest:
                return "another"
            known = files.read_json(self.directory / "status.json")["status"]
        except (OSError, ValueError, KeyError, TypeError):
            return "begun"
        states: dict[str, Standing] = {"finished": "done", "failed": "failed", "interrupted": "interrupted"}
        return states.get(known, "begun")

    def why(self) -> str:
        """Why it failed, in a line."""
        if self.state() == "another":
            return "its directory holds a run of another recipe; move it away, or give another --dir"
        try:
            why = files.read_json(self.directory / "status.json").get("error")
        except (OSError, ValueError):
            why = None
        if not why and self.log.exists():
            why = next(iter(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]), "")
        return " ".join(str(why or NO_MESSAGE).split())

    def command(self) -> list[str]:
        """What brings it further: `collapse run`, or `collapse resume` once there is something to resume."""
        collapse = [sys.executable, "-m", "collapse_core.cli"]
        if (self.directory / "resolved.json").exists():
            return [*collapse, "resume", str(self.directory)]
        sets = [word for override in self.overrides for word in ("--set", override)]
        return [*collapse, "run", str(self.recipe), *sets, "--run-dir", str(self.directory)]


# --- the grid --------------------------------------------------------------------------------------


def members(recipes: Sequence[Path], overrides: Sequence[str], sweep: Path) -> list[Member]:
    """Every recipe with every combination of values.

    Args:
        recipes: The recipe files.
        overrides: "path=value,value,..." texts; commas within brackets and quotes do not separate.
        sweep: The directory of the sweep.

    Raises:
        RecipeError: With every problem of every member.
    """
    keys = [split_override(override) for override in overrides]
    for path, times in Counter(path for path, _ in keys).items():
        if times > 1:
            what = f"is set {times} times; give all its values at once: --set {path}=value,value"
            raise RecipeError([Problem("--set", 0, 0, path, what)])
    choices = [[f"{path}={value}" for value in split_at_commas(text)] for path, text in keys]
    stems = Counter(recipe.stem for recipe in dict.fromkeys(recipes))
    found: dict[str, Member] = {}
    problems: dict[Problem, None] = {}
    code = 2
    for recipe, chosen in itertools.product(recipes, itertools.product(*choices)):
        try:
            resolved = load_recipe(recipe, chosen).resolved()
        except RecipeError as error:
            problems |= dict.fromkeys(error.problems)
            code = max(code, error.exit_code)
            continue
        varied = [one for one, all_ in zip(chosen, choices, strict=True) if len(all_) > 1]
        name = _name(recipe, varied, chosen, alone=stems[recipe.stem] == 1)
        found[name] = Member(name, recipe, chosen, sweep, _digest(resolved))
    if problems:
        raise RecipeError(list(problems), exit_code=code)
    return list(found.values())


def _name(recipe: Path, varied: Sequence[str], chosen: Sequence[str], *, alone: bool) -> str:
    """The recipe's name and what is varied, such as "npo-seed=1"; with a digest where that does not do.

    Args:
        recipe: The recipe file.
        varied: The overrides that are not the same for all.
        chosen: All overrides.
        alone: Whether no other recipe has the same name.
    """
    pieces = [override.partition("=") for override in varied]
    name = "-".join([recipe.stem, *(f"{path.rpartition('.')[2]}={value}" for path, _, value in pieces)])
    safe = re.sub(r"[^\w.=+-]", "_", name)
    if safe == name and len(name) <= LONGEST_NAME and alone:
        return name
    home = "" if alone else str(recipe.resolve())
    return f"{safe[:LONGEST_NAME]}-{text_digest(' '.join([home, *chosen]))[:8]}"


def _digest(resolved: Mapping[str, Any]) -> str:
    """What makes a run another one; how many processes work on it does not."""
    return digest({key: value for key, value in resolved.items() if key != "launch"})
