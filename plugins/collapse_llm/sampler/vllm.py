"""How completions are drawn from a language model by vLLM, where that is installed."""

import importlib.util
from collections.abc import Sequence
from functools import partial

from collapse_core import Bound, CollapseError, Completion, Group, Iteration, Model, Prompt
from collapse_llm.sampler.vllm_settings import VllmSampling


class Vllm(VllmSampling):
    """Draw answers with vLLM, while the model is in training; the model must have `lora`.

    The engine is made once and keeps the frozen weights; each policy reaches it as a LoRA adapter. Full
    fine-tuning is refused: vLLM's `reload_weights` reads again the checkpoint that the engine was started
    from, and its interface for passing whole weights has changed its protocol from release to release.

    Each completion has its own seed, but vLLM's arithmetic depends on what is computed together. Where that
    must not be, set VLLM_BATCH_INVARIANT=1 on hardware for which vLLM offers it.

    Raises:
        CollapseError: vLLM is missing or the model has no `lora`. A recipe may be meant for another machine,
            so it is valid all the same, and this is said when the run first asks for an answer.
    """

    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Draw answers; each is a request of its own, with a seed of its own."""
        _require_vllm()
        from collapse_llm.sampler.vllm_engine import engine_of
        from collapse_llm.sampler.vllm_requests import sample_answers

        return sample_answers(self, partial(engine_of, self), model, prompts, num_completions, iteration)

    def sample_references(
        self, model: Model, prompts: Sequence[Prompt], iteration: Iteration
    ) -> list[Completion]:
        """Return the model's greedy answers."""
        _require_vllm()
        from collapse_llm.sampler.vllm_engine import engine_of
        from collapse_llm.sampler.vllm_requests import greedy_answers

        answers = greedy_answers(self, partial(engine_of, self), model, prompts, iteration)
        return [Completion(answer) for answer in answers]


def _require_vllm() -> None:
    if importlib.util.find_spec("vllm") is None:
        raise CollapseError(
            "the sampler 'vllm' needs the package 'vllm', which is not installed: "
            "pip install 'collapse-unlearning[vllm]', or write 'sampler: {use: generate}', "
            "which needs nothing more"
        )
