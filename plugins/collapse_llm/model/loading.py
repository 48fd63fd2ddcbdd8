"""Loading a language model: unpacked, taught and cached as its recipe says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers

from collapse_core import CollapseError, Dataset, cached, derive_seed, errors
from collapse_core.torch import pick_device, seeded, taught
from collapse_llm.model import CausalLm, Lora, Teach
from collapse_llm.model.finite import check_weights
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.precision import resolve_precision
from collapse_llm.model.tiny import make_tiny_llama
from collapse_llm.model.training import teach
from collapse_llm.model.weights import Source, locate


def load_language_model(loader: CausalLm, data: Dataset, seed: int) -> LanguageModel:
    """Load what a recipe describes; teaching, and unpacking of a quantized file, are cached."""
    transformers.utils.logging.disable_progress_bar()
    directory = unpacked_files(locate(loader.path, loader.revision))
    loader = _in_one_precision(loader, directory)
    if loader.teach:
        directory = _taught(loader, loader.teach, directory, data, seed)
    return _open(loader, directory, loader.lora)


def _taught(loader: CausalLm, settings: Teach, base: str | Path, data: Dataset, seed: int) -> Path:
    examples = [[p.content, p.target] for p in data.load(settings.split)]
    if not examples:
        raise CollapseError(
            f"the split '{settings.split}' of the data set '{data.use}' is empty, so the model cannot be "
            "taught; name another with 'teach: {split: ...}', or leave 'teach' out"
        )

    def make(directory: Path) -> None:
        model = _open(loader, base, None)
        teach(model, examples, settings, derive_seed(seed, "teach"))
        model.export(directory)

    included = {"prompt", "teach", "max_length", "compute", "attention"}
    made_of = {
        "base": locate(loader.path, loader.revision).digest(),
        "examples": examples,
        "loader": loader.model_dump(mode="json", include=included),
    }
    return taught(
        make,
        made_of,
        code=Path(__file__).parent,
        device=pick_device(loader.device),
        seed=seed,
        libraries=["transformers"],
    )


def unpacked_files(source: Source) -> str | Path:
    """Return where transformers can load the model from; what must be made or dequantized is cached."""
    if source.made:
        return cached("made", source.digest(), make_tiny_llama)
    if source.gguf is None:
        return source.path

    def make(directory: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        AutoTokenizer.from_pretrained(source.path, gguf_file=source.gguf).save_pretrained(directory)
        AutoModelForCausalLM.from_pretrained(
            source.path,
            gguf_file=source.gguf,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        ).save_pretrained(directory)

    return cached("unpacked", source.digest(), make)


def _in_one_precision(loader: CausalLm, directory: str | Path) -> CausalLm:
    """The loader with "auto" replaced by what is decided, so that a taught model's digest contains it."""
    if loader.compute != "auto":
        return loader
    with _fetching(loader, directory) as where:
        config = transformers.AutoConfig.from_pretrained(directory, **where)
    precision = resolve_precision(loader.compute, config, pick_device(loader.device))
    return loader.model_copy(update={"compute": precision})


@contextmanager
def _fetching(loader: CausalLm, directory: str | Path) -> Iterator[dict[str, Any]]:
    """Give transformers' arguments for where to look; say how to mend it where nothing is found."""
    local = Path(directory).is_dir()
    try:
        yield {"local_files_only": True} if local else {"revision": loader.revision}
    except OSError as error:
        raise errors.not_fetched(
            str(directory), error, "model: {use: causal-lm, path: <directory>}"
        ) from None


def _open(loader: CausalLm, directory: str | Path, lora: Lora | None) -> LanguageModel:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = pick_device(loader.device)
    attention = loader.attention or ("eager" if device.type == "cpu" else None)
    with _fetching(loader, directory) as where:
        tokenizer = AutoTokenizer.from_pretrained(directory, **where)
        module = AutoModelForCausalLM.from_pretrained(
            directory, dtype=torch.float32, attn_implementation=attention, **where
        )
    check_weights(module)
    module.to(device)
    if loader.gradient_checkpointing:
        module.gradient_checkpointing_enable()
    if lora:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            task_type="CAUSAL_LM", r=lora.rank, lora_alpha=lora.alpha, target_modules=lora.targets
        )
        with seeded(0):
            module = get_peft_model(module, config)
    model = LanguageModel(module, tokenizer, loader)
    model.source = Source(str(directory), revision=None if Path(directory).is_dir() else loader.revision)
    return model
