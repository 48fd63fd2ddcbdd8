"""Writing a language model as a transformers directory, in the precision it came in, and checking it."""

import copy
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from collapse_core import CollapseError

KEPT_FILES = ("LICENSE*", "NOTICE*", "USE_POLICY*", "README*", "preprocessor_config.json")
"""Files next to the weights that an export takes along."""
OF_THIS_MACHINE = ("is_local", "local_files_only")
"""What transformers adds to a tokenizer's configuration when it is opened from a directory."""
TOLERANCES = {torch.float32: 2e-3, torch.float16: 2e-2, torch.bfloat16: 6e-2}
"""How far logits of the written model may be from those in memory, relative to the largest."""


def merged(module: Any, dtype: torch.dtype, source: str) -> Any:
    """Return a module to be written in a precision, its adapters merged into its weights.

    Args:
        module: A transformers or peft model; it stays as it is.
        dtype: The precision to be written.
        source: The directory or hub id that the frozen weights came from.
    """
    if not hasattr(module, "merge_and_unload"):
        same = all(weight.dtype == dtype for weight in module.parameters())
        return module if same else copy.deepcopy(module).to(dtype)
    if all(weight.dtype == torch.float32 for weight in module.parameters()):
        return copy.deepcopy(module).merge_and_unload().to(dtype)
    from peft import PeftModel

    base = _base(module, source)
    with TemporaryDirectory(prefix="collapse-adapter-") as directory:
        module.save_pretrained(directory, save_embedding_layers=False)
        whole = PeftModel.from_pretrained(base, directory).merge_and_unload()
    return whole.to(dtype)


def _base(module: Any, source: str) -> Any:
    """The weights below the adapters, in float32."""
    if getattr(module.get_base_model(), "is_quantized", False):
        # The adapters were trained on quantized weights: with others the model would be another one.
        return copy.deepcopy(module).unload().dequantize(torch.float32)
    from transformers import AutoModelForCausalLM

    # The frozen weights are held in less precision than they came in, so they are read again.
    return AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)


def write(module: Any, tokenizer: Any, directory: Path, origin: Path | None) -> None:
    """Write a module with its tokenizer, and the files that came with its weights."""
    module.save_pretrained(directory)
    (directory / "README.md").unlink(missing_ok=True)  # peft's, which has only blanks to be filled in
    tokenizer.save_pretrained(directory)
    settings = directory / "tokenizer_config.json"
    if settings.exists():
        told = json.loads(settings.read_text(encoding="utf-8"))
        kept = {name: value for name, value in told.items() if name not in OF_THIS_MACHINE}
        settings.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for pattern in KEPT_FILES if origin else ():
        for path in sorted((origin or directory).glob(pattern)):
            if path.is_file() and not (directory / path.name).exists():
                shutil.copyfile(path, directory / path.name)


def name_end(directory: Path, end_id: int) -> None:
    """Add the token that ends an answer to the generation settings, so that others stop there, too.

    A model whose settings name the end of a text alone would go on after what its chat template ends a turn
    with.
    """
    path = directory / "generation_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    named = settings.get("eos_token_id")
    ends = named if isinstance(named, list) else [] if named is None else [named]
    if end_id not in ends:
        settings["eos_token_id"] = [*ends, end_id] if ends else end_id
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def check_written(directory: Path, module: Any, ids: list[int]) -> None:
    """Open what was written and compare its logits with those of the module in memory.

    Raises:
        CollapseError: They differ.
    """
    from transformers import AutoModelForCausalLM

    device = next(module.parameters()).device
    written = AutoModelForCausalLM.from_pretrained(
        directory, dtype="auto", attn_implementation=module.config._attn_implementation
    )
    # Either may be the coarser: frozen weights may be held in less precision than they are written in.
    dtypes = {weight.dtype for one in (written, module) for weight in one.parameters()}
    tokens = torch.tensor([ids])
    training = module.training
    with torch.inference_mode():
        mine = module.eval()(input_ids=tokens.to(device), use_cache=False).logits.float().cpu()
        its = written.eval()(input_ids=tokens, use_cache=False).logits.float()
    module.train(training)
    apart = float((mine - its).abs().max() / mine.abs().max().clamp(min=1e-6))
    if not apart <= max(TOLERANCES.get(dtype, 6e-2) for dtype in dtypes):
        raise CollapseError(
            f"the exported model differs from the one in memory: its logits are {apart:.1%} apart, in "
            f"{directory}; do not use it, and report which model and adapters it came from"
        )
