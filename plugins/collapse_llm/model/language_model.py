"""A causal language model with its tokenizer, and the precision it computes in."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch

from collapse_core import Prompt, digest, files, processes
from collapse_core.torch import TorchModel, full_tensor, reduce_to_shards, tensors_digest
from collapse_llm.model import CausalLm
from collapse_llm.model.adapters import MergedAdapters, can_merge, is_peft
from collapse_llm.model.encoding import Encoder
from collapse_llm.model.exporting import check_written, merged, name_end, write
from collapse_llm.model.marks import run_like
from collapse_llm.model.precision import resolve_precision
from collapse_llm.model.upper import UpperLayers, is_divisible
from collapse_llm.model.weights import Source

NUMBERS = "numbers.json"


class LanguageModel(TorchModel):
    """A causal language model, its encoder, and the precision it computes in."""

    can_shard: ClassVar[bool] = True
    _merged: MergedAdapters | None = None

    def __init__(self, module: Any, tokenizer: Any, loader: CausalLm) -> None:
        """Take a transformers (or peft) model and its tokenizer."""
        super().__init__(module)
        self.module: Any = module
        self.source = Source(loader.path)
        self.encoder = Encoder(tokenizer, loader.prompt, loader.max_length, loader.too_long)
        self.compute: torch.dtype = getattr(
            torch, resolve_precision(loader.compute, module.config, self.device)
        )
        self.end_ids = _end_ids(module, self.encoder)
        self.saved_as = torch.float32
        """The precision of exported weights."""
        self.origin: Path | None = None
        """The directory that the weights came from, for the files next to them."""
        self.saves = loader.lora.save if loader.lora else "merged"
        self.numbers: dict[str, float] = {}
        """What updaters remember between steps, such as dual variables; checkpoints hold it."""
        self.reference_logits: dict[tuple[int, ...], torch.Tensor] = {}
        """The reference model's predictions of answers, as far as an updater keeps them."""
        self.train_layers = loader.train_layers
        self._worker: Any = None
        if is_peft(module) and can_merge(module):
            self._merged = MergedAdapters(module, self.compute)
        self._upper: UpperLayers | None = None
        self._asked_whether_divisible: Any = None
        self._frozen: FrozenLanguageModel | None = None

    def save(self, directory: Path) -> None:
        """Write the weights, the optimizer's moments, and the numbers that updaters remember."""
        super().save(directory)
        if self.numbers and processes.current().is_main:
            files.write_json(directory / NUMBERS, self.numbers)

    def restore(self, directory: Path) -> None:
        """Read what `save` wrote."""
        super().restore(directory)
        path = directory / NUMBERS
        self.numbers = dict(files.read_json(path)) if path.exists() else {}

    @contextmanager
    def reference(self) -> Iterator["LanguageModel"]:
        """The model without its adapters; without adapters, its weights opened a second time.

        The second module is in the precision that is computed in, and stays open. It comes from where the
        loader took the first, also when a run is resumed, so that checkpoints need not hold it.
        """
        if is_peft(self.module):
            with torch.inference_mode(), self.module.eval().disable_adapter():
                yield FrozenLanguageModel(self.module, self)
            return
        if self._frozen is None:
            self._frozen = FrozenLanguageModel(self._opened_again(), self)
        yield self._frozen

    def _opened_again(self) -> Any:
        from transformers import AutoModelForCausalLM

        where = (
            {"local_files_only": True}
            if Path(self.source.path).is_dir()
            else {"revision": self.source.revision or "main"}
        )
        module = AutoModelForCausalLM.from_pretrained(
            self.source.path,
            dtype=self.compute,
            attn_implementation=self.module.config._attn_implementation,
            **where,
        )
        run_like(module, self.module)
        return module.to(self.device).requires_grad_(False).eval()

    def fingerprint(self) -> str | None:
        """Return a digest of the weights, of the precision, and of how a question is put to the model."""
        with self.for_inference() as module:
            weights = tensors_digest(module)
        form = (self.encoder.prompt_format.digest(), self.encoder.max_length, self.encoder.too_long)
        return weights and digest([weights, *form, str(self.compute)])

    def pieces(self, prompt: Prompt, answer: Any = None) -> list[tuple[str, bool]]:
        """Return the tokens as texts, special ones included; those of the answer and its end are learned."""
        if answer is None:
            return [(text, False) for text in self.encoder.texts(self.encoder.prompt(prompt.content))]
        example = self.encoder.example(prompt.content, answer)
        texts = self.encoder.texts(example.ids)
        return [(text, number >= example.answer_start) for number, text in enumerate(texts)]

    @contextmanager
    def for_training(self) -> Iterator[Any]:
        """The module for one forward and backward pass; gradients end up on the float32 weights."""
        if self._merged:
            self._merged.drop()
        worker = self._working_module().train()
        yield self._trained_part(worker)
        if self.sharded:
            reduce_to_shards(worker, self.module)
        elif worker is not self.module:
            _move_gradients(worker, self.module)

    def _trained_part(self, worker: Any) -> Any:
        """The module, or its upper layers where they alone are trained and can be computed alone."""
        if self.train_layers is None:
            return worker
        if self._asked_whether_divisible is not worker:
            self._asked_whether_divisible = worker
            self._upper = UpperLayers(worker, self.train_layers) if is_divisible(worker) else None
        return worker if self._upper is None else self._upper

    @contextmanager
    def for_inference(self) -> Iterator[Any]:
        """The module to sample from and to score with."""
        merged = None if self.sharded else self._merged
        worker = merged.current() if merged else self._working_module()
        with torch.inference_mode():
            yield worker.eval()

    def _working_module(self) -> Any:
        """The module itself, or a copy of it in the computing precision, brought up to date.

        The weights are cast once for many tokens, rather than in each product as autocast does. Where they
        are sharded, the copy is brought up to date by each step, which all processes take together.
        """
        if self.sharded:
            return self._worker
        if self.compute == torch.float32 or is_peft(self.module):
            return self.module
        self.replicate()
        return self._worker

    def replicate(self) -> None:
        """Bring the working copy up to date, and make it at first."""
        if self._worker is None:
            self._worker = copy.deepcopy(self.module).to(self.compute)
        with torch.no_grad():
            for mine, its in zip(self.module.parameters(), self._worker.parameters(), strict=True):
                if mine.requires_grad:
                    its.copy_(full_tensor(mine))

    def export(self, directory: Path) -> None:
        """Write a transformers directory, and check that it gives what the model in memory gives.

        Adapters are merged into the weights, unless the recipe says that they are saved themselves.
        """
        module = self.whole_module()
        if not processes.current().is_main:
            return
        tokenizer = self.encoder.tokenizer
        if not is_peft(module) or self.saves != "adapter":
            write(merged(module, self.saved_as, self.source.path), tokenizer, directory, self.origin)
            name_end(directory, self.encoder.end_id)
            check_written(directory, module, self.encoder.prompt("Is this the same model?"))
        else:
            write(module, tokenizer, directory, self.origin)
        if is_peft(module) and self.saves == "both":
            module.save_pretrained(directory / "adapter")

    def whole_module(self) -> Any:
        """The module in float32; where it is sharded a whole copy, which all processes ask for together."""
        if not self.sharded:
            return self.module
        module = copy.deepcopy(self._worker).float()
        with torch.no_grad():
            for mine, its in zip(self.module.parameters(), module.parameters(), strict=True):
                its.copy_(full_tensor(mine))
        return module


class FrozenLanguageModel(LanguageModel):
    """A language model to ask and not to train: it computes with its module as it is."""

    def __init__(self, module: Any, like: LanguageModel) -> None:
        """Take the module, and all else from the model that it is the reference of."""
        TorchModel.__init__(self, module)
        self.module = module
        self.source, self.encoder, self.compute = like.source, like.encoder, like.compute
        self.end_ids = like.end_ids

    def _working_module(self) -> Any:
        return self.module


def _move_gradients(worker: torch.nn.Module, module: torch.nn.Module) -> None:
    for its, mine in zip(worker.parameters(), module.parameters(), strict=True):
        if its.grad is not None:
            mine.grad = its.grad.float() if mine.grad is None else mine.grad.add_(its.grad)
            its.grad = None


def _end_ids(module: Any, encoder: Encoder) -> frozenset[int]:
    """The tokens that end an answer: the prompt format's, the tokenizer's, and those that the model names."""
    named = module.generation_config.eos_token_id
    return frozenset(
        [encoder.end_id, encoder.tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    ) - {None}
