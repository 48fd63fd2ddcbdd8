"""A recipe for a language model and questions or texts of a user's, from a look at both."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from pydantic import TypeAdapter

from collapse_core import CollapseError, Dataset, Draft, PromptSet, Registry, drafting
from collapse_llm.data.passages import Passages, is_running_text
from collapse_llm.data.questions import Questions
from collapse_llm.data.sources import Named
from collapse_llm.model import PromptFormat
from collapse_llm.model.encoding import Encoder
from collapse_llm.model.loading import unpacked_files
from collapse_llm.model.weights import PACKAGED, TINY, locate

LOOKED_AT = 10
"""How many rows of each side are put into tokens."""
WEIGHT, TRAINED = 4, 12
"""Bytes of a parameter, which the reference model has too, and of what training adds to it."""
SHARE = 0.5
"""How much of the memory the parameters may take; activations and the rest need theirs."""
MOST_PROMPTS, LEAST_RETAIN = 64, 40
"""Of an iteration, where there are as many."""
SLOW_FROM = 50_000_000
"""Parameters from which a processor is slow: it trains a quarter of the layers, and evaluators ask FEW."""
FEW = 60
"""How many retain rows evaluators ask where decoding is slow."""
EVALUATORS = {
    "unlearn-quality": "",
    "fact-words": "num_retain",
    "memorization": "num_questions",
    "utility": "num_retain",
}
"""What is measured, each with the field that limits how many rows it asks."""
HEADLINE = ("rouge_forget", "fact_words_forget", "extraction_strength_forget", "rouge_retain")
"""The metrics of the table at the end of a run: docs/field_benchmarks.md says why."""
TURNS = 12
"""How often each forget prompt takes part in the run."""

RECOGNIZED = {
    "questions": "the format was recognized by the columns",
    "passages": "texts are cut into openings\n# to be continued, in tokens of the model",
}
RECIPE = Template((Path(__file__).with_name("draft.yaml.txt")).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Seen:
    """What a look at the model and the data has shown."""

    family: str
    num_parameters: int
    num_layers: int
    has_template: bool
    date: str | None
    """A date for a template that prints today's."""
    data: Mapping[str, Any]
    """The data set, as the recipe names it."""
    forget: PromptSet
    retain: PromptSet
    prompt_tokens: int
    """The most tokens that a prompt has, of those that were looked at."""
    answer_tokens: int
    """The same of an answer; 0 where there are none."""
    example: str
    """The first forget prompt as the model reads it."""
    memory: int
    """Bytes of memory: the GPU's where there is one."""
    device: str

    @property
    def asked(self) -> str:
        """How the model is asked."""
        if self.data["use"] == "passages":
            return "to continue texts as they are"
        if self.has_template:
            return "in its own chat template"
        return "as plain text, for it has no chat template"

    @property
    def slow(self) -> bool:
        """Whether a processor trains so large a model."""
        return self.device == "cpu" and self.num_parameters >= SLOW_FROM

    @property
    def train_layers(self) -> int | None:
        """How many of the last layers are trained; None for all."""
        return math.ceil(self.num_layers / 4) if self.slow and self.num_layers and not self.adapters else None

    @property
    def trained_share(self) -> float:
        """About which share of the parameters is trained; of adapters hardly any."""
        if self.adapters:
            return 0.0
        return self.train_layers / self.num_layers if self.train_layers else 1.0

    @property
    def adapters(self) -> bool:
        """Whether adapters are trained, since all weights do not fit."""
        return self.num_parameters * (2 * WEIGHT + TRAINED) > SHARE * self.memory

    @property
    def needed(self) -> float:
        """Bytes for the parameters; adapters leave the reference model in place."""
        models = 1 if self.adapters else 2
        return self.num_parameters * (models * WEIGHT + self.trained_share * TRAINED)


def draft_recipe(name: str, model: str, sources: Mapping[str, Any]) -> Draft | None:
    """Look at a transformers model and at questions or texts; None where the model is of another kind.

    Raises:
        CollapseError: The model or the data cannot be read.
    """
    if not _is_language_model(model):
        return None
    seen = look(model, sources)
    return Draft(list(_found(model, seen)), _written(name, model, sources, seen))


def _is_language_model(model: str) -> bool:
    """Whether it is one that comes with collapse, a name on the hub, or a directory of a language model."""
    folder = Path(os.path.expanduser(model))
    if model in PACKAGED or model == TINY:
        return True
    if not folder.is_dir():
        return "/" in model and not model.startswith(("/", ".", "~"))
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return any(str(one).endswith(("CausalLM", "LMHeadModel")) for one in config.get("architectures") or ())


def look(model: str, sources: Mapping[str, Any]) -> Seen:
    """Read the model's configuration and tokenizer, and ten rows of each side; weights are not loaded."""
    import transformers

    from collapse_core.torch import pick_device

    where = unpacked_files(locate(model, "main"))
    config = transformers.AutoConfig.from_pretrained(where)
    tokenizer = transformers.AutoTokenizer.from_pretrained(where)
    template = str(tokenizer.chat_template or "")
    date = "1 Jan 2026" if "strftime_now" in template else None
    encoder = Encoder(tokenizer, PromptFormat(chat=bool(template), date=date), 10**9)
    data = _data(model, sources)
    forget = data.load("forget")
    retain = data.load("retain") if "retain" in sources else PromptSet(())
    if not forget:
        raise CollapseError(f"{sources['forget']} has no rows; there is nothing to forget")
    rows = [*forget[:LOOKED_AT], *retain[:LOOKED_AT]]
    prompts = [encoder.prompt(row.content) for row in rows]
    device = pick_device("auto")
    return Seen(
        config.model_type,
        _num_parameters(config),
        getattr(config, "num_hidden_layers", 0),
        bool(template),
        date,
        data.model_dump(mode="json", include={"use", "tokenizer"}, exclude_none=True) | dict(sources),
        forget,
        retain,
        max(map(len, prompts)),
        max((len(encoder.answer(row.target)) + 1 for row in rows if row.target), default=0),
        "".join(encoder.texts(prompts[0])),
        _memory(device.type),
        device.type,
    )


def _data(model: str, sources: Mapping[str, Any]) -> Dataset:
    """The texts that the sources hold, cut into passages by the model's tokens, or else their questions."""
    if not is_running_text(TypeAdapter(Named).validate_python(sources["forget"])):
        return Questions(use="questions", **dict(sources))
    if others := [f"--{key}" for key in sources if key not in Passages.model_fields]:
        raise CollapseError(
            f"--forget holds texts, which are cut into passages, so leave out {', '.join(others)}; passages "
            "have --retain and --holdout"
        )
    return Passages(use="passages", tokenizer=model, **dict(sources))


def _num_parameters(config: Any) -> int:
    """Count the parameters of the architecture without allocating them."""
    import torch
    import transformers

    with torch.device("meta"):
        module = transformers.AutoModelForCausalLM.from_config(config)
    return sum(parameter.numel() for parameter in module.parameters())


def _memory(device: str) -> int:
    if device == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _found(model: str, seen: Seen) -> list[str]:
    """What was found, a line each."""
    answers = f"answers of up to {seen.answer_tokens}" if seen.answer_tokens else "no answers"
    trained = "adapters are trained (LoRA)" if seen.adapters else "all weights are trained"
    if seen.train_layers:
        trained = f"the last {seen.train_layers} of {seen.num_layers} layers are trained"
    fits = "" if seen.needed <= seen.memory else ", which is more than there is: choose a smaller model"
    return [
        f"model {model}: {seen.family}, {seen.num_parameters / 1e6:.3g} M parameters; asked {seen.asked}",
        f"data: {len(seen.forget)} prompts to forget, {len(seen.retain)} to retain; prompts of up to "
        f"{seen.prompt_tokens} tokens, {answers} in {_rows(seen)}",
        f"first prompt as the model reads it: {seen.example!r}",
        f"{seen.device} with {seen.memory / 1e9:.0f} GB: {trained}, which takes {seen.needed / 1e9:.1f} GB "
        f"for the parameters{fits}",
    ]


def _rows(seen: Seen) -> str:
    return f"the first {min(LOOKED_AT, len(seen.forget)) + min(LOOKED_AT, len(seen.retain))} rows"


def _written(name: str, model: str, sources: Mapping[str, Any], seen: Seen) -> str:
    """The recipe, with what was chosen."""
    tokens = _rounded(seen.answer_tokens * 1.25 or 64, 8)
    prompts = min(len(seen.forget), MOST_PROMPTS)
    retain = min(len(seen.retain), max(LEAST_RETAIN, 2 * prompts))
    room = _rounded(1.5 * (seen.prompt_tokens + max(tokens, seen.answer_tokens)), 32)
    prompt = {"chat": seen.has_template} | ({"date": seen.date} if seen.date else {})
    lora = "\n  lora: {rank: 16, alpha: 32}" if seen.adapters else ""
    described = {"use": "causal-lm", "path": model, "prompt": prompt, "max_length": room}
    described |= {"train_layers": seen.train_layers} if seen.train_layers else {}
    return RECIPE.substitute(
        name=name,
        file=f"{name}.yaml",
        recognized=RECOGNIZED[seen.data["use"]],
        data=drafting.block(seen.data),
        model=drafting.block(described) + lora,
        asked=seen.asked,
        longest=f"{seen.prompt_tokens} + {seen.answer_tokens}",
        trained=_why_trained(seen),
        tokens=tokens,
        prompts="all" if prompts == len(seen.forget) else prompts,
        retain=retain,
        rate=_rate(seen),
        batch=max(4, min(16, prompts // 4)),
        iterations=max(TURNS, math.ceil(TURNS * len(seen.forget) / prompts)),
        every=max(1, math.ceil(TURNS * len(seen.forget) / prompts) // 2),
        evaluators=", ".join(_evaluators(sources, seen)),
        headline=", ".join(name for name in HEADLINE if "retain" in sources or not name.endswith("retain")),
        asks=", with few of the rows to retain," if _asks_few(seen) else "",
    )


def _rate(seen: Seen) -> str:
    """The fewer weights are trained, and the smaller the model, the higher the rate."""
    if seen.adapters or seen.train_layers:
        return "1e-4"
    return "5e-5" if seen.num_parameters < 10**9 else "5e-6"


def _why_trained(seen: Seen) -> str:
    gigabytes = f"{seen.num_parameters * (2 * WEIGHT + TRAINED) / 1e9:.1f} GB of {seen.memory / 1e9:.0f} GB"
    if seen.adapters:
        return f"Adapters are trained (LoRA), since training all weights takes {gigabytes}"
    if seen.train_layers:
        return (
            f"The last {seen.train_layers} of {seen.num_layers} layers are trained, which saves a processor "
            "most of the time"
        )
    return f"All weights are trained, which takes {gigabytes}; 'lora: {{rank: 16}}' would train adapters"


def _asks_few(seen: Seen) -> bool:
    return seen.slow and len(seen.retain) > FEW


def _evaluators(sources: Mapping[str, Any], seen: Seen) -> list[str]:
    """Those of the usual evaluators whose splits there are."""
    there = {*sources, *(("forget_paraphrased",) if "paraphrased" in sources else ())}
    found = []
    for name, limit in EVALUATORS.items():
        part: Any = Registry().find("evaluator", name)
        if {*part.reads} - {*part.optional_splits} <= there:
            few = max(FEW, len(seen.forget)) if limit == "num_questions" else FEW
            found.append(f"{{use: {name}, {limit}: {few}}}" if limit and _asks_few(seen) else name)
    return found


def _rounded(number: float, step: int) -> int:
    return step * math.ceil(number / step)
