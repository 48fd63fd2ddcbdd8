"""A reward that is any Python function."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from inspect import isawaitable
from pathlib import Path
from types import FunctionType
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo, model_validator

from collapse_core.contracts.interfaces import Dataset, Reward
from collapse_core.contracts.types import Completion, Prompt
from collapse_core.errors import CollapseError
from collapse_core.parts.signatures import Asked, asked_by, asked_in
from collapse_core.plugins.discovery import LOCAL

Scores = Sequence[float | None]


def _name_of(value: Any) -> Any:
    """The name of a function that is given itself, as recipes that are made in Python may."""
    if not isinstance(value, FunctionType):
        return value
    if value.__qualname__ != value.__name__ or not value.__name__.isidentifier():
        raise ValueError("expected a function that is defined with a name at the top of its module")
    return f"{value.__module__}:{value.__name__}"


class Function(Reward):
    """What a Python function returns, called by name; a plain function is enough.

    It is given what its parameters ask for: `prompt`, `completions`, `contents` (those of the completions),
    `reference`; and returns one number per completion, None to abstain. One that takes `prompts`, or
    `completions` and `**kwargs`, is called as TRL calls its reward functions: with lists of contents, one
    entry per completion, and the other columns of the row.
    """

    function: Annotated[str, Field(pattern=r"^\w+(\.\w+)*:\w+$"), BeforeValidator(_name_of)]
    """Where it is, as "module:name": an installed module, or a file that the recipe names under `plugins`."""

    _module: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _can_be_called(self, info: ValidationInfo) -> "Function":
        """Look for it and at its parameters, without importing what is not imported yet."""
        module, _, name = self.function.partition(":")
        self._module = _local_module(module, info) or module
        if self._module != module and not hasattr(sys.modules[self._module], name):
            raise ValueError(_cannot_be_loaded(self.function, f"the file defines no '{name}'"))
        if not (self._module in sys.modules or find_spec(module.partition(".")[0])):
            raise ValueError(_cannot_be_loaded(self.function, f"there is no module '{module}'"))
        asked = asked_in(self._module, name)
        if asked and (problem := asked.problem()):
            raise ValueError(self._cannot_be_called(asked, problem))
        return self

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Import it, and check that what it asks for is there, before anything is sampled."""
        asked = asked_by(self._found())
        problem = asked.problem()
        if asked.in_trls_style and not problem:
            known = {"prompts", "completions", *_LOGGING, *(prompts[0].columns if prompts else ())}
            if lacking := [name for name in asked.required if name not in known]:
                problem = (
                    f"asks for {', '.join(lacking)}, which is no column of the data set '{data.use}' that "
                    "the run may read"
                )
        if problem:
            raise CollapseError(self._cannot_be_called(asked, problem))

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> Sequence[float | None]:
        """Call it."""
        if not completions:
            return []
        function = self._found()
        asked = asked_by(function)
        given = (
            _as_trl(prompt, completions)
            if asked.in_trls_style
            else {
                "prompt": prompt,
                "completions": completions,
                "contents": [completion.content for completion in completions],
                "reference": reference,
            }
        )
        found = function(**{key: v for key, v in given.items() if asked.takes_more or key in asked.names})
        return _awaited(found) if isawaitable(found) else found

    def _found(self) -> Callable[..., Scores | Awaitable[Scores]]:
        try:
            found = getattr(import_module(self._module), self.function.partition(":")[2])
        except (ImportError, AttributeError) as error:
            raise CollapseError(_cannot_be_loaded(self.function, str(error))) from error
        return cast(Callable[..., Scores | Awaitable[Scores]], found)

    def _cannot_be_called(self, asked: Asked, problem: str) -> str:
        where = f" ({asked.where})" if asked.where else ""
        return f"the reward function '{self.function}'{where} {problem}"


def _ignore(*args: Any, **kwargs: Any) -> None:
    """Take what a function logs for TRL's trainer."""


_LOGGING = {"log_extra": _ignore, "log_metric": _ignore}


def _as_trl(prompt: Prompt, completions: Sequence[Completion]) -> dict[str, Any]:
    """What TRL gives a reward function: lists of an entry per completion, of messages if the prompt is."""
    columns = {name: [value] * len(completions) for name, value in prompt.columns.items()}
    contents = [completion.content for completion in completions]
    if _is_conversation(prompt.content):
        contents = [[{"role": "assistant", "content": content}] for content in contents]
    return _LOGGING | columns | {"prompts": [prompt.content] * len(completions), "completions": contents}


def _is_conversation(content: Any) -> bool:
    return (
        isinstance(content, list) and bool(content) and isinstance(content[0], dict) and "role" in content[0]
    )


def _awaited(scores: Awaitable[Scores]) -> Scores:
    """What a coroutine returns, run in a thread of its own: a notebook's thread has a loop already."""
    import asyncio  # which takes longer to load than most commands to answer
    from concurrent.futures import ThreadPoolExecutor

    async def wait() -> Scores:
        return await scores

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, wait()).result()


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
