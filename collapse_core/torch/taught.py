"""The cache of models that a recipe has taught."""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from collapse_core.runtime.cache import cached
from collapse_core.runtime.digests import digest, source_digest


def taught(
    make: Callable[[Path], None],
    made_of: Mapping[str, Any],
    *,
    code: Path,
    device: torch.device,
    seed: int,
    libraries: Sequence[str] = (),
) -> Path:
    """Return the directory of a taught model, which is made once for everything that determines it.

    Args:
        make: Teaches the model and writes it into an empty directory.
        made_of: The data, the settings and whatever else determines the model, as plain JSON data.
        code: The folder of the source code that makes and teaches it.
        device: Where it is taught; only its type counts.
        seed: The seed of its random numbers.
        libraries: The packages, besides torch, that take part.
    """
    key = {
        "made_of": made_of,
        "code": [source_digest(code), source_digest(Path(__file__).parent)],
        "device": device.type,
        "seed": seed,
        "libraries": {name: version(name) for name in ("torch", *libraries)},
    }
    return cached("taught", digest(key), make)
