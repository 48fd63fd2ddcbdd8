"""What this plugin contributes."""

from collections.abc import Iterable

from collapse_core import Entry, hookimpl


@hookimpl
def collapse_components() -> Iterable[Entry]:
    """Everything that PMC on a causal language model needs."""
    yield Entry("dataset", "authors", "collapse_llm.data:Authors")
    yield Entry("dataset", "tofu", "collapse_llm.data:Tofu")
    yield Entry("model", "causal-lm", "collapse_llm.model:CausalLm")
    yield Entry("sampler", "generate", "collapse_llm.sampler:Generate")
    yield Entry("sampler", "vllm", "collapse_llm.sampler.vllm:Vllm")
    yield Entry("reward", "rouge-distance", "collapse_llm.rewards:RougeDistance")
    yield Entry("updater", "sft", "collapse_llm.updater:Sft")
    yield Entry("evaluator", "unlearn-quality", "collapse_llm.evaluators:UnlearnQuality")
    yield Entry("evaluator", "utility", "collapse_llm.evaluators:Utility")
    yield Entry("evaluator", "likelihood", "collapse_llm.evaluators:Likelihood")
