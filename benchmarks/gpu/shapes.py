"""Random models in the shapes of well-known ones, made on the device: nothing is downloaded or written."""

from collections.abc import Mapping
from pathlib import Path

import torch

from benchmarks.cells import Job
from benchmarks.material import Material, cell_recipe, questions
from benchmarks.memory import SHAPE as SMOLLM2
from collapse_core import Iteration, cached, derive_seed
from collapse_core.torch import seeded
from collapse_llm.model import CausalLm
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.loading import unpacked_files
from collapse_llm.model.weights import PACKAGED, locate

LLAMA_1B = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": True,
    "vocab_size": 128256,
}
TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "vocab_size": 2048,
}
SHAPES: Mapping[str, Mapping[str, int]] = {
    "smollm2-135m": SMOLLM2,
    "llama-3.2-1b": LLAMA_1B,
    "tiny": TINY,
}
"""The last is for tests and first tries; it is measured only when it is asked for. As in the second, its
vocabulary is larger than its tokenizer's."""
TOKENIZERS = {"tiny": "tiny-llama"}
PACKAGED_TOKENIZER = "smollm2-135m-instruct"


def random_material(job: Job, device: torch.device) -> Material:
    """Return what a column works on: a random model of the job's shape, and the authors' questions.

    A random model never ends an answer, so that every row has as many tokens as it may, whatever samples it.
    References are the true answers: what a random model would say greedily measures nothing.
    """
    loader = CausalLm.model_validate(
        {
            "use": "causal-lm",
            "path": str(tokenizer_directory(job.cell.model)),
            "prompt": {"chat": False},
            "compute": job.compute,
            "device": str(device),
        }
    )
    recipe = cell_recipe(job).model_copy(update={"model": loader})
    prompts = questions(recipe.data, job.cell.num_questions)
    retain = recipe.data.load("retain").draw(len(prompts), derive_seed(recipe.seed, "retain"))
    references = {prompt.id: prompt.target for prompt in prompts}
    iteration = next(Iteration.remaining(0, recipe.iterations, recipe.seed))
    return Material(recipe, _model(job.cell.model, loader, device), prompts, retain, references, iteration)


def _model(shape: str, loader: CausalLm, device: torch.device) -> LanguageModel:
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(loader.path, local_files_only=True)
    ids = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    config = LlamaConfig(**SHAPES[shape], **ids, pad_token_id=tokenizer.pad_token_id)
    with seeded(0), device:
        module = LlamaForCausalLM(config).to(torch.float32)
    module.set_attn_implementation("eager" if device.type == "cpu" else "sdpa")
    return LanguageModel(module, tokenizer, loader)


def tokenizer_directory(shape: str) -> Path:
    """Return where the tokenizer of a shape lies, unpacked once; its tokens may be fewer than the shape's."""
    name = TOKENIZERS.get(shape, PACKAGED_TOKENIZER)
    source = locate(name, "main")
    if name not in PACKAGED:
        return Path(unpacked_files(source))

    def make(directory: Path) -> None:
        from transformers import AutoTokenizer

        AutoTokenizer.from_pretrained(source.path, gguf_file=source.gguf).save_pretrained(directory)

    return cached("bench-tokenizer", source.digest(), make)
