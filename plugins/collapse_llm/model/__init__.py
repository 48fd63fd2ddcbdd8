"""How to get a causal language model: from a package, a directory or the hub, taught if need be."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from annotated_types import Ge, Gt
from pydantic import field_validator, model_validator

from collapse_core import Dataset, ExportedModel, HasSplits, Model, ModelLoader, Settings

TooLong: TypeAlias = Literal["refuse", "cut-prompt"]
"""What becomes of a row that is longer than max_length."""


class Teach(Settings):
    """Teaching by plain supervised fine-tuning, before unlearning begins."""

    split: str = "full"
    """What is taught."""
    epochs: Annotated[int, Ge(1)] = 5
    """How often each example is seen."""
    learning_rate: Annotated[float, Gt(0)] = 2e-5
    """The peak learning rate; it falls linearly to zero."""
    batch_size: Annotated[int, Ge(1)] = 16
    """Examples per step."""
    warmup: Annotated[float, Ge(0)] = 1.0
    """Epochs over which the learning rate rises."""
    weight_decay: Annotated[float, Ge(0)] = 0.01
    """AdamW's weight decay."""
    train_layers: Annotated[int, Ge(1)] | None = None
    """Train the last so many decoder layers only, by default all weights."""


class Lora(Settings):
    """Train low-rank adapters instead of all weights (Hu et al. 2021), by peft."""

    rank: Annotated[int, Ge(1)] = 16
    """The rank of each adapter."""
    alpha: Annotated[float, Gt(0)] = 32
    """The scale of the adapters; they are multiplied by alpha / rank."""
    targets: str | list[str] = "all-linear"
    """Which modules are adapted."""
    bits: Literal[8, 4] | None = None
    """Hold the frozen weights of linear layers in 8 or 4 bits, to save memory, by bitsandbytes (Dettmers et
    al., arXiv 2208.07339 and 2305.14314); by default in the precision that is computed in."""
    save: Literal["merged", "adapter", "both"] = "merged"
    """What a run leaves: the model with the adapters merged into it, the adapters alone, or the merged model
    with the adapters in its directory `adapter`."""


class PromptFormat(Settings):
    """How a question is put to the model."""

    chat: bool | Literal["auto"] = "auto"
    """Use the tokenizer's chat template instead of the two texts below. "auto" uses it where there is one,
    unless either text is set."""
    question: str = "Question: {}\nAnswer:"
    """The prompt, with {} where the question goes."""
    answer: str = " {}"
    """What follows it, with {} where the answer goes. The model learns to say all of it; what stands before
    {} is taken off its answers again."""
    system: str | None = None
    """The system message of the chat."""
    date: str | None = None
    """The date that the chat template may print, fixed so that prompts never change."""
    arguments: dict[str, Any] = {}
    """Further arguments of the chat template; its `enable_thinking` is false unless set here."""

    @field_validator("question", "answer")
    @classmethod
    def _has_one_slot(cls, text: str) -> str:
        if "{}" not in text or text.count("{") + text.count("}") != 2:
            raise ValueError("write {} once, where the text goes, and no other braces")
        return text

    @property
    def has_own_texts(self) -> bool:
        """Whether either text differs from its default."""
        fields = type(self).model_fields
        return (self.question, self.answer) != (fields["question"].default, fields["answer"].default)


class CausalLm(ModelLoader):
    """A causal language model of the transformers library, ready to be taught and to forget."""

    provides: ClassVar[str] = "language-model"
    works_on: ClassVar[tuple[str, ...]] = ("questions",)

    reads: ClassVar[tuple[str, ...]] = ("full",)

    path: str
    """A directory, a hub id, "smollm2-135m-instruct" (comes as a package), or "tiny-llama" (for tests)."""
    revision: str = "main"
    """The revision on the hub."""
    prompt: PromptFormat = PromptFormat()
    """How a question is put to the model."""
    teach: Teach | None = None
    """Teach the model first; the result is cached by the digest of everything that made it."""
    lora: Lora | None = None
    """Train adapters instead of all weights."""
    train_layers: Annotated[int, Ge(1)] | None = None
    """Train the last so many decoder layers only, by default all weights. What the layers below them make of
    a row is computed once and held, where the model's kind allows for it."""
    max_length: Annotated[int, Ge(2)] = 200
    """Tokens of prompt and answer together, in training and in sampling."""
    too_long: TooLong = "refuse"
    """Refuse a row that is longer, or cut the beginning of its prompt; a drawn answer is cut at its end."""
    compute: Literal["auto", "float32", "bfloat16"] = "auto"
    """What is computed in; trained weights stay float32, those frozen under `lora` do not. "auto" is what
    a timed product says is faster."""
    save_as: Literal["source", "float32", "bfloat16"] = "source"
    """The precision of the exported weights; "source" is the one they came in."""
    device: str = "auto"
    """A torch device, or "auto" for what accelerate finds."""
    attention: str | None = None
    """The transformers attention kernel; by default "eager" on a CPU, where it trains fastest."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass, to save memory."""

    @model_validator(mode="after")
    def _trains_one_way(self) -> Self:
        if self.lora and self.train_layers:
            raise ValueError("'lora' and 'train_layers' both say what is trained; leave one out")
        return self

    def load(self, data: Dataset, seed: int) -> Model:
        """Load the model, taught on the data if the recipe says so."""
        from collapse_llm.model.loading import load_language_model

        return load_language_model(self, data, seed)

    def splits_read(self, data: HasSplits) -> list[str]:
        """Return what is taught."""
        return [self.teach.split] if self.teach else []

    def describe_export(self, directory: Path) -> ExportedModel | None:
        """Return what a card says of the exported transformers or peft model."""
        from collapse_llm.model.handover import describe

        return describe(directory, self.path)

    def provenance(self) -> Mapping[str, object]:
        """Return where the weights come from, by digest."""
        from collapse_llm.model.weights import locate

        return locate(self.path, self.revision).provenance()

    def token_ids(self, texts: Sequence[str], exported: Path) -> Sequence[Sequence[int]]:
        """Return the ids of the tokenizer that was exported with the model."""
        if not texts or not (exported / "tokenizer_config.json").exists():
            return ()
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(exported, local_files_only=True)
        found: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return found
