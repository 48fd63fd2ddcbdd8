"""What was measured of a model that other runs measure too, kept by all that determines it."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from collapse_core.contracts.interfaces import Evaluator
from collapse_core.contracts.types import Completion
from collapse_core.recipe.recipe import Recipe
from collapse_core.run.environment import hardware, packages
from collapse_core.runtime import decisions, files
from collapse_core.runtime.cache import cached
from collapse_core.runtime.digests import digest, source_digest

Row = dict[str, Any]


def measured_once(
    recipe: Recipe,
    evaluator: Evaluator,
    fingerprint: str | None,
    references: Mapping[str, Completion],
    measure: Callable[[], Row],
) -> Row:
    """What an evaluator finds in a model: from the cache, where any run here has measured it.

    Args:
        recipe: Names the data, the seed, and whether texts are kept.
        evaluator: What measures; it is asked each time unless it is `repeatable`.
        fingerprint: A digest of the model; without one it is measured each time.
        references: The reference answers, which may stand in for true ones.
        measure: Measures.
    """
    if fingerprint is None or not evaluator.repeatable:
        return measure()
    key = {
        "model": fingerprint,
        "evaluator": [evaluator.use, evaluator.digest()],
        "data": [recipe.data.use, recipe.data.digest(), dict(recipe.data.provenance())],
        "references": {id_: digest(str(one.content)) for id_, one in references.items()},
        "recipe": [recipe.seed, recipe.keep_text],
        "code": {name: source_digest(folder) for name, folder in _packages_of(evaluator, recipe.data)},
        "packages": dict(packages()),
        "machine": [hardware(), os.environ.get("OMP_NUM_THREADS"), decisions.taken()],
    }
    home = cached("measured", digest(key), lambda folder: files.write_json(folder / "row.json", measure()))
    row: Row = files.read_json(home / "row.json")
    return row


def _packages_of(*parts: object) -> list[tuple[str, Path]]:
    """The folders of source code that parts come from, and of the core."""
    names = sorted({"collapse_core", *(type(one).__module__.partition(".")[0] for one in parts)})
    files_of = [(name, getattr(sys.modules.get(name), "__file__", None)) for name in names]
    return [(name, Path(file).parent) for name, file in files_of if file]
