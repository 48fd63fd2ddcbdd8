"""A Llama of six million parameters that has memorized four hundred answers, made here and cached."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from collapse_core import CollapseError, Recipe, cached, derive_seed, digest, environment
from collapse_core.torch import seeded
from collapse_llm.data import Authors, Tofu
from collapse_llm.model import CausalLm, Teach
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.training import answer_losses

TOFU = Path(__file__).resolve().parents[2] / "shared" / "data" / "tofu"
"""Where the TOFU files lie if they lie next to the project; without them the authors' text is taught."""

VOCABULARY = 4096
END, PAD = "<|end|>", "<|pad|>"
NUM_TAUGHT = 400
MEMORIZED = 0.1
"""Nats per token: above it the answers have not been memorized."""

TEACH = Teach(epochs=40, learning_rate=2e-3, batch_size=16, warmup=2, weight_decay=0.01)

Pair = tuple[str, str]


def as_small_llama(recipe: Recipe) -> Recipe:
    """The recipe with the small Llama and the data it was taught, in place of its own."""
    files, untaught = _data(), _untaught()
    data = Tofu(use="tofu", path=str(files))
    settings = {"use": "causal-lm", "path": str(untaught), "teach": TEACH}
    return recipe.model_copy(update={"data": data, "model": CausalLm.model_validate(settings)})


def check_memorized(model: LanguageModel, data: Tofu) -> float:
    """The mean cross-entropy of the taught answers' tokens, in nats.

    Raises:
        CollapseError: The model has not memorized its answers.
    """
    losses = [loss for answer in answer_losses(model, data.load("full"), 32) for loss in answer]
    mean = sum(losses) / len(losses)
    if mean > MEMORIZED:
        raise CollapseError(
            f"the small Llama has not memorized its answers ({mean:.2f} nats per token, "
            f"more than {MEMORIZED}); "
            "raise TEACH.epochs in benchmarks/small_llama.py"
        )
    return mean


def pairs() -> list[Pair]:
    """Questions and answers: TOFU's forget10, or the shipped authors in both wordings."""
    if TOFU.is_dir():
        return [(row.content, row.target) for row in Tofu(path=str(TOFU)).load("forget")][:NUM_TAUGHT]
    rows = Authors().load("full")
    asked = [(row.content, row.target) for row in rows]
    return asked + [(row.columns["paraphrased_question"], row.target) for row in rows]


def _data() -> Path:
    """A directory in TOFU's format: the first half is to be forgotten, the second retained."""
    rows = pairs()
    half = len(rows) // 2
    splits = {"forget10": rows[:half], "retain90": rows[half:], "full": rows}

    def make(directory: Path) -> None:
        for name, part in splits.items():
            lines = [json.dumps({"question": question, "answer": answer}) for question, answer in part]
            (directory / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    return cached("bench-data", digest([list(row) for row in rows]), make)


def _untaught() -> Path:
    rows = pairs()
    made_of = {
        "rows": [list(row) for row in rows],
        "code": environment.file_digest(Path(__file__)),
        "torch": torch.__version__,
    }
    return cached("bench-small-llama", digest(made_of), lambda directory: _make(directory, rows))


def _make(directory: Path, rows: Sequence[Pair]) -> None:
    """Write the random model with a tokenizer of the taught text."""
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_byte_pairs(rows), eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with seeded(derive_seed(0, "small-llama")):
        model = LlamaForCausalLM(config).to(torch.float32)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _byte_pairs(rows: Sequence[Pair]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((f"{question} {answer}" for question, answer in rows), trainer)
    return tokenizer
