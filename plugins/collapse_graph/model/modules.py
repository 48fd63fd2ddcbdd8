"""Modules of a user, made by a callable that a recipe names."""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from collapse_core import CollapseError


def make_module(named: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return what a callable makes, named as "module:callable" or "file.py:callable".

    Raises:
        CollapseError: It is not there, or it makes no torch.nn.Module.
    """
    where, _, name = named.rpartition(":")
    try:
        made = getattr(_module(where), name)(**arguments)
    except (ImportError, AttributeError, OSError, TypeError, SyntaxError) as error:
        raise CollapseError(
            f"the network '{named}' cannot be made: {type(error).__name__}: {error}; name an installed "
            "module or a file, as 'module:callable', and what it takes under 'arguments'"
        ) from error
    if not isinstance(made, nn.Module):
        raise CollapseError(f"the network '{named}' is a {type(made).__name__}, no torch.nn.Module")
    return made


def _module(where: str) -> ModuleType:
    if not where.endswith(".py"):
        return import_module(where)
    path = Path(os.path.expanduser(where)).resolve()
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no file of Python")
    module = module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # so that its classes can be found by name
    spec.loader.exec_module(module)
    return module
