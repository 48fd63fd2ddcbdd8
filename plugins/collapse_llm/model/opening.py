"""Opening a transformers directory as a module, with one clear sentence for what cannot work."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch

from collapse_core import CollapseError
from collapse_core.torch import pick_device, seeded
from collapse_llm.model import CausalLm, Lora
from collapse_llm.model.finite import check_weights
from collapse_llm.model.upper import freeze_below

OTHER_KINDS = {"vision_config": "images", "audio_config": "sound"}
"""What the configuration of a model has that reads more than text."""


def open_module(
    loader: CausalLm, directory: Any, lora: Lora | None, dtype: torch.dtype, where: Mapping[str, Any]
) -> Any:
    """Return the causal language model in a directory, on its device, with fresh adapters if asked for.

    Args:
        loader: What the recipe says.
        directory: A directory or a hub id.
        lora: The adapters, or None to train all weights.
        dtype: The precision of the weights.
        where: Arguments of `from_pretrained` for where to look.

    Raises:
        CollapseError: It is another kind of model, its files lack weights, or what the recipe asks of it
            cannot be had.
    """
    import transformers

    config = transformers.AutoConfig.from_pretrained(directory, **where)
    _refuse_other_kinds(config)
    _check_positions(config, loader.max_length)
    device = _device(loader.device)
    attention = loader.attention or ("eager" if device.type == "cpu" else None)
    try:
        module, found = transformers.AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=dtype,
            attn_implementation=attention,
            output_loading_info=True,
            **(_quantized(lora.bits, dtype, device) if lora and lora.bits else {}),
            **where,
        )
    except (ValueError, ImportError) as error:
        what = f"with attention '{attention}'" if loader.attention else "as a causal language model"
        raise CollapseError(
            f"a model of the type '{config.model_type}' cannot be opened {what}: {_first_line(error)}"
        ) from None
    if missing := sorted(found["missing_keys"]):
        raise CollapseError(
            f"the model's files lack {len(missing)} weights of a causal language model, such as "
            f"'{missing[0]}'; choose a model with a language-model head, not a classifier or an encoder"
        )
    check_weights(module)
    if not (lora and lora.bits):
        module.to(device)
    if loader.gradient_checkpointing:
        module.gradient_checkpointing_enable()
    if loader.train_layers:
        freeze_below(module, loader.train_layers)
    return _adapted(module, lora) if lora else module


def _quantized(bits: int, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """Give transformers' arguments for frozen weights in 8 or 4 bits; other weights stay as they are."""
    from transformers import BitsAndBytesConfig

    if find_spec("bitsandbytes") is None:
        raise CollapseError(
            f"'lora: {{bits: {bits}}}' needs the package bitsandbytes; install it with "
            "pip install 'collapse-unlearning[quantized]', or leave 'bits' out"
        )
    form = (
        BitsAndBytesConfig(load_in_8bit=True)
        if bits == 8
        else BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    )
    return {"quantization_config": form, "device_map": {"": device}}


def check_vocabulary(module: Any, tokenizer: Any) -> None:
    """Refuse a tokenizer that has more tokens than the model.

    Raises:
        CollapseError: It names both numbers.
    """
    num = module.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > num:
        raise CollapseError(
            f"the tokenizer has {len(tokenizer)} tokens and the model only {num}; choose the tokenizer that "
            "the model was trained with, or resize the model's embeddings"
        )


def _refuse_other_kinds(config: Any) -> None:
    if config.is_encoder_decoder:
        raise CollapseError(
            f"a model of the type '{config.model_type}' has an encoder and a decoder; 'causal-lm' takes "
            "models that have a decoder alone"
        )
    for field, what in OTHER_KINDS.items():
        if getattr(config, field, None) is not None:
            raise CollapseError(
                f"a model of the type '{config.model_type}' also reads {what}, which 'causal-lm' does not; "
                "save its language model alone as a directory and name that"
            )


def _check_positions(config: Any, max_length: int) -> None:
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    if positions and 0 < positions < max_length:
        raise CollapseError(
            f"the model has {positions} positions, fewer than 'max_length: {max_length}'; set max_length to "
            "that or less"
        )


def _device(name: str) -> torch.device:
    try:
        device = pick_device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CollapseError(
            f"the device '{name}' cannot be used here: {_first_line(error)}; write 'cpu', 'cuda' where there "
            "is a GPU, or 'auto'"
        ) from None
    return device


def _adapted(module: Any, lora: Lora) -> Any:
    from peft import LoraConfig, get_peft_model

    targets = [lora.targets] if isinstance(lora.targets, str) else lora.targets
    if module.config.tie_word_embeddings and any(_is_head(module, name) for name in targets):
        raise CollapseError(
            f"'lora: {{targets: {lora.targets}}}' adapts the output matrix, which this model shares with its "
            "input embeddings, so that the exported model would differ from the trained one; leave it out"
        )
    config = LoraConfig(
        task_type="CAUSAL_LM", r=lora.rank, lora_alpha=lora.alpha, target_modules=lora.targets
    )
    try:
        with seeded(0):
            return get_peft_model(module, config)
    except ValueError as error:
        raise CollapseError(
            f"'lora: {{targets: {lora.targets}}}' does not suit this model: {_first_line(error)}"
        ) from None


def _is_head(module: Any, name: str) -> bool:
    tied = (module.get_output_embeddings(), module.get_input_embeddings())
    return any(path.split(".")[-1] == name for path, one in module.named_modules() if one in tied)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
