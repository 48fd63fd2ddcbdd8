"""TRL's way, which has no trainer for best-of-n: the nearest composition of what it ships.

RAFT (Dong et al. 2023) is sampling, keeping the best, and supervised fine-tuning on it, and TRL users
compose it of two pieces. Sampling is what TRL's online trainers (GRPO, RLOO, online DPO) do unless
vLLM is asked for: `unwrap_model_for_generation`, then `generate` on left-padded, repeated prompts. As
many rows go into one call as in the reference. Fine-tuning is `SFTTrainer.train()` on one data set of
the kept and the retain rows, a batch holding as many rows of both kinds together as a batch of the
others. Scoring is the reference's, since in TRL a reward is a function of the user's.

What differs from the others, in TRL's favor or because it cannot be said in TRL: rows come tokenized,
making the trainer is not counted, gradient checkpointing (TRL's default) is off, no row weighs more
than another (there is no retain weight, which changes no cost), and a batch holds whatever the shuffle
gives. In bfloat16 the weights are float32 under autocast, which is TRL's default.
"""

import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from datasets import Dataset
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer
from trl.models import unwrap_model_for_generation

from benchmarks.material import Material
from benchmarks.reference_loop import IGNORED, ReferenceLoop
from collapse_core import Kept, Prompt


class TrlLoop(ReferenceLoop):
    """One iteration by TRL's generation path, rouge-score and SFTTrainer."""

    def __init__(self, material: Material) -> None:
        """Hand the float32 module to accelerate, as TRL's trainers do."""
        self.material, self.model = material, material.model
        self.settings: Any = material.recipe.updater
        self.module: Any = self.model.module
        self.module.set_attn_implementation("sdpa")
        self.in_bfloat16 = self.model.compute == torch.bfloat16
        self.accelerator = Accelerator(
            mixed_precision="bf16" if self.in_bfloat16 else "no", cpu=self.model.device.type == "cpu"
        )
        self.wrapped = self.accelerator.prepare_model(self.module)
        self.trainer: SFTTrainer | None = None

    def call_generate(self, **inputs: Any) -> torch.Tensor:
        """Generation as TRL's online trainers call it."""
        config = inputs["generation_config"].to_diff_dict()
        with (
            unwrap_model_for_generation(
                self.wrapped, self.accelerator, generation_kwargs=config
            ) as unwrapped,
            torch.no_grad(),
        ):
            out: torch.Tensor = unwrapped.generate(**inputs)
        return out

    def prepare(self, kept: Sequence[Kept], retain: Sequence[Prompt]) -> None:
        """Make the trainer of this iteration's rows."""
        rows = [(k.prompt.content, k.completion.content) for k in kept]
        rows += [(p.content, p.target) for p in retain]
        examples = [self.model.encoder.example(question, answer) for question, answer in rows]
        data = Dataset.from_list(
            [
                {"input_ids": e.ids, "labels": [IGNORED] * e.answer_start + e.ids[e.answer_start :]}
                for e in examples
            ]
        )
        module = self.accelerator.unwrap_model(self.wrapped, keep_fp32_wrapper=False)
        self.trainer = SFTTrainer(
            module, self._arguments(), train_dataset=data, processing_class=self.model.encoder.tokenizer
        )
        self.trainer.remove_callback(PrinterCallback)

    def _arguments(self) -> SFTConfig:
        on_cpu = self.model.device.type == "cpu"
        return SFTConfig(
            output_dir=tempfile.gettempdir(),
            per_device_train_batch_size=2 * self.material.batch_size,
            num_train_epochs=1,
            learning_rate=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
            max_grad_norm=self.settings.max_grad_norm,
            max_length=self.model.encoder.max_length,
            bf16=self.in_bfloat16,
            gradient_checkpointing=False,
            use_cpu=on_cpu,
            dataloader_pin_memory=not on_cpu,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )

    def update(self, kept: Sequence[Kept], retain: Sequence[Prompt]) -> None:
        """One epoch of the trainer that was prepared."""
        assert self.trainer is not None
        self.trainer.train()
