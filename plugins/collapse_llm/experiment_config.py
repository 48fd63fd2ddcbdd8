"""An experiment configuration of OpenUnlearning: its values, their lines, and which of them were used."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from collapse_core import CollapseError

SAME_RESULT = (
    r"(paths|hydra|collator|eval\.tofu|model\.tokenizer_args)\..*",
    "mode|task_name|holdout_split|question_key|data_split",
    r"data\.anchor|data\.\w+\.\w+\.(handler|args\.(question_key|answer_key|max_length|hf_args\.(path|split)))",
    r"model\.model_args\.(attn_implementation|device_map|torch_dtype)",
    r"model\.template_args\.(system_prompt_with_special_tokens|\w+_(start|end)_tag)",
    r"trainer\.args\.(per_device_eval_batch_size|bf16\w*|logging_\w+|output_dir|report_to|ddp_\w+|optim)",
    r"trainer\.args\.(save_\w+|do_\w+|eval_\w+|remove_unused_columns)",
)
"""Keys, as patterns, that change no result, or say what the data part here says by itself."""


REFERENCE = re.compile(r"\$\{([\w.]+)\}")


@dataclass
class Config:
    """A configuration, and which of its keys have been used."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[str, int]
    used: set[str] = field(default_factory=set)
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a dotted key, with what it refers to filled in."""
        self.used.add(key)
        found: Any = self.values
        for piece in key.split("."):
            if not isinstance(found, Mapping) or piece not in found:
                return default
            found = found[piece]
        return self.filled(found, key)

    def filled(self, value: Any, key: str) -> Any:
        """A value with each ${...} in it replaced by what the file says there."""
        if not isinstance(value, str) or "${" not in value:
            return value
        if (whole := REFERENCE.fullmatch(value)) and whole[1] in self.lines:
            return self.get(whole[1])

        def other(match: re.Match[str]) -> str:
            if match[1] not in self.lines:
                self.cannot(key, f"it refers to '{match[1]}', which the file does not have")
            return str(self.get(match[1]))

        return REFERENCE.sub(other, value)

    def cannot(self, key: str, why: str) -> None:
        """Note that a key cannot be expressed."""
        self.problems.append((key, why))


def read_config(path: Path) -> Config:
    """Read a file.

    Raises:
        CollapseError: It is no experiment of OpenUnlearning's unlearning.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        values = YAML().load(path.read_text(encoding="utf-8"))
    except (OSError, YAMLError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise CollapseError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, Mapping) or not {"trainer", "defaults"} & set(values):
        raise CollapseError(
            f"{path} is no experiment of OpenUnlearning (neither 'trainer' nor 'defaults' is in it)"
        )
    return Config(path, values, dict(_lines(values)))


def _lines(values: Any, above: str = "") -> Iterator[tuple[str, int]]:
    """The line, from 1, of each dotted key."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield f"{above}{key}", cast(Any, values).lc.key(key)[0] + 1
            yield from _lines(value, f"{above}{key}.")


def defaults_of(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the list of defaults names: by group, such as "trainer", a file of OpenUnlearning's."""
    for entry in values.get("defaults", ()):
        for group, name in entry.items() if isinstance(entry, Mapping) else ():
            yield str(group).removeprefix("override ").lstrip("/"), str(name)


def check_rest(config: Config) -> None:
    """Note each key that nothing has used, and that may change results."""
    known = [re.compile(pattern) for pattern in SAME_RESULT]
    for key in config.lines:
        above = {key[: dot.start()] for dot in re.finditer(r"\.", key)} | {key}
        if (
            key.split(".")[0] == "defaults"
            or key in config.used
            or above & {one for one, _ in config.problems}
        ):
            continue
        is_group = isinstance(config.get(key), Mapping)  # its own keys are looked at instead
        if not is_group and not any(pattern.fullmatch(key) for pattern in known):
            config.cannot(key, "no recipe says this; take it out where it does not matter")
