"""A reward that is any Python function."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from collapse_core.contracts.interfaces import Reward
from collapse_core.contracts.types import Completion, Prompt
from collapse_core.errors import CollapseError
from collapse_core.plugins.discovery import LOCAL

VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class Function(Reward):
    """What a Python function returns, called by name; a plain function is enough.

    It is given what its parameters ask for: `prompt`, `completions`, `contents` (those of the completions),
    `reference`; and returns one number per completion, None to abstain.
    """

    function: Annotated[str, Field(pattern=r"^\w+(\.\w+)*:\w+$")]
    """Where it is, as "module:name": an installed module, or a file that the recipe names under `plugins`."""

    _module: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _is_there(self, info: ValidationInfo) -> "Function":
        """Look for it, without importing what is not imported yet."""
        module, _, name = self.function.partition(":")
        self._module = _local_module(module, info) or module
        if self._module != module and not hasattr(sys.modules[self._module], name):
            raise ValueError(_cannot_be_loaded(self.function, f"the file defines no '{name}'"))
        if not (self._module in sys.modules or find_spec(module.partition(".")[0])):
            raise ValueError(_cannot_be_loaded(self.function, f"there is no module '{module}'"))
        return self

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> Sequence[float | None]:
        """Call it."""
        if not completions:
            return []
        function = self._found()
        given = {
            "prompt": prompt,
            "completions": completions,
            "contents": [completion.content for completion in completions],
            "reference": reference,
        }
        return function(**{name: given[name] for name in self._asked_for(function, given)})

    def _found(self) -> Callable[..., Sequence[float | None]]:
        try:
            found = getattr(import_module(self._module), self.function.partition(":")[2])
        except (ImportError, AttributeError) as error:
            raise CollapseError(_cannot_be_loaded(self.function, str(error))) from error
        return cast(Callable[..., Sequence[float | None]], found)

    def _asked_for(self, function: Callable[..., Any], given: Mapping[str, Any]) -> list[str]:
        parameters = signature(function).parameters.values()
        required = [p.name for p in parameters if p.default is Parameter.empty and p.kind not in VARIADIC]
        if unknown := [name for name in required if name not in given]:
            raise CollapseError(
                f"the reward function '{self.function}' asks for {', '.join(unknown)}; it may ask for "
                f"{', '.join(given)}"
            )
        if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
            return list(given)
        return [parameter.name for parameter in parameters if parameter.name in given]


def _local_module(stem: str, info: ValidationInfo) -> str | None:
    """What the module of a file is called that the recipe names under `plugins`."""
    registry = (info.context or {}).get("registry")
    plugins = registry.plugins if registry else ()
    named = [p.module for p in plugins if p.version == LOCAL and p.module and Path(p.name).stem == stem]
    return named[-1] if named else None


def _cannot_be_loaded(function: str, why: str) -> str:
    return (
        f"the reward function '{function}' cannot be loaded: {why}; name an installed module, or a file that "
        "the recipe lists under 'plugins', as 'module:name'"
    )
