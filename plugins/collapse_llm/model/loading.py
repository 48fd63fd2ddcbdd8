"""Loading a language model: unpacked, taught and cached as its recipe says."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import torch
import transformers

from collapse_core import CollapseError, Dataset, cached, derive_seed, errors, progress
from collapse_core.torch import pick_device, taught
from collapse_llm.model import CausalLm, Lora, Teach
from collapse_llm.model.decoding.engine import check_decoding
from collapse_llm.model.encoding import Example
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.marks import close, must_not_pad, note_that_head_comes_last, run_like
from collapse_llm.model.opening import check_vocabulary, open_module
from collapse_llm.model.precision import resolve_precision
from collapse_llm.model.tiny import make_tiny_llama
from collapse_llm.model.training import MULTIPLE, padded_states, teach
from collapse_llm.model.vocabulary import skipped_head
from collapse_llm.model.weights import Source, locate


def load_language_model(loader: CausalLm, data: Dataset, seed: int) -> LanguageModel:
    """Load what a recipe describes; teaching, and unpacking of a quantized file, are cached."""
    transformers.utils.logging.disable_progress_bar()
    source = locate(loader.path, loader.revision)
    untaught = directory = unpacked_files(source)
    loader = _in_one_precision(loader, directory)
    if loader.teach:
        directory = _taught(loader, loader.teach, directory, data, seed)
    model = _open(loader, directory, loader.lora)
    with model.for_inference() as module:
        check_decoding(module)
    run_like(model.module, module)
    model.saved_as = _came_in(loader, untaught)
    model.origin = Path(source.path) if Path(source.path).is_dir() else None
    if loader.prompt.chat == "auto" and not loader.prompt.has_own_texts:
        progress.announce(model.encoder.described())
    return model


def _taught(loader: CausalLm, settings: Teach, base: str | Path, data: Dataset, seed: int) -> Path:
    examples = [[p.content, p.target] for p in data.load(settings.split)]
    if not examples:
        raise CollapseError(
            f"the split '{settings.split}' of the data set '{data.use}' is empty, so the model cannot be "
            "taught; name another with 'teach: {split: ...}', or leave 'teach' out"
        )

    def make(directory: Path) -> None:
        model = _open(loader.model_copy(update={"train_layers": settings.train_layers}), base, None)
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
    if source.adapter:
        return cached("merged", source.digest(), lambda directory: _merged(source, directory))
    if source.gguf is None:
        return source.path

    def make(directory: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        AutoTokenizer.from_pretrained(source.path, gguf_file=source.gguf).save_pretrained(directory)
        with redirect_stderr(StringIO()):  # its progress bar has no switch
            module = AutoModelForCausalLM.from_pretrained(
                source.path,
                gguf_file=source.gguf,
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.float32,
            )
        module.save_pretrained(directory)

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
    from transformers import AutoTokenizer

    # Weights that are trained are float32; those that adapters leave as they are, in what is computed in.
    dtype = torch.bfloat16 if lora and loader.compute == "bfloat16" else torch.float32
    with _fetching(loader, directory) as where:
        tokenizer = AutoTokenizer.from_pretrained(directory, **where)
        module = open_module(loader, directory, lora, dtype, where)
    check_vocabulary(module, tokenizer)
    model = LanguageModel(module, tokenizer, loader)
    model.source = Source(str(directory), revision=None if Path(directory).is_dir() else loader.revision)
    if not _pads_well(model):
        progress.announce(
            f"padding changes what '{module.config.model_type}' models compute: no row is padded"
        )
    return model


def _pads_well(model: LanguageModel) -> bool:
    """Whether a row is predicted alike alone and padded; the model is marked where not, and for its head."""
    with model.for_inference() as module:
        pads = _is_predicted_alike_padded(module, model.device)
        if not pads:
            must_not_pad(module)
        if _is_predicted_by_head(module, model.device):
            note_that_head_comes_last(module)
    run_like(model.module, module)
    return pads


_SHORT, _LONG = (Example(list(range(2, 2 + num)), 1) for num in (3, 8))


def _is_predicted_alike_padded(module: Any, device: torch.device) -> bool:
    try:
        together = padded_states(module, [_SHORT, _LONG], device, MULTIPLE)
    except (ValueError, RuntimeError, IndexError):
        return False
    [alone] = padded_states(module, [_SHORT], device, 1)
    return close(together[0], alone)


def _is_predicted_by_head(module: Any, device: torch.device) -> bool:
    [logits] = padded_states(module, [_SHORT], device, 1)
    try:
        with skipped_head(module) as head:
            [states] = padded_states(module, [_SHORT], device, 1)
        return close(head(states), logits)
    except (AttributeError, ValueError, RuntimeError):
        return False


def _came_in(loader: CausalLm, directory: str | Path) -> torch.dtype:
    """Return the precision that an export has: as the recipe says, or that of the weights as they came."""
    if loader.save_as != "source":
        return torch.float32 if loader.save_as == "float32" else torch.bfloat16
    with _fetching(loader, directory) as where:
        dtype = transformers.AutoConfig.from_pretrained(directory, **where).dtype
    return dtype if isinstance(dtype, torch.dtype) else torch.float32


def _merged(source: Source, directory: Path) -> None:
    """Write the base model of an adapter with the adapter merged into it."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    adapted = AutoPeftModelForCausalLM.from_pretrained(source.path, dtype="auto")
    base = adapted.peft_config["default"].base_model_name_or_path
    named = source.path if (Path(source.path) / "tokenizer_config.json").exists() else base
    adapted.merge_and_unload().save_pretrained(directory)
    AutoTokenizer.from_pretrained(named).save_pretrained(directory)
