"""What this plugin contributes."""

from collections.abc import Iterable, Mapping
from typing import Any

from collapse_core import Draft, Entry, hookimpl


@hookimpl
def collapse_draft(name: str, model: str, sources: Mapping[str, Any]) -> Draft | None:
    """Propose a recipe for a causal language model and questions."""
    from collapse_llm.drafting import draft_recipe

    return draft_recipe(name, model, sources)


@hookimpl
def collapse_components() -> Iterable[Entry]:
    """Everything that PMC on a causal language model needs."""
    yield Entry("dataset", "authors", "collapse_llm.data:Authors")
    yield Entry("dataset", "questions", "collapse_llm.data:Questions")
    yield Entry("dataset", "passages", "collapse_llm.data:Passages")
    yield Entry("dataset", "subjects", "collapse_llm.data:Subjects")
    yield Entry("dataset", "tofu", "collapse_llm.data:Tofu")
    yield Entry("model", "causal-lm", "collapse_llm.model:CausalLm")
    yield Entry("sampler", "generate", "collapse_llm.sampler:Generate")
    yield Entry("sampler", "vllm", "collapse_llm.sampler.vllm:Vllm")
    yield Entry("sampler", "sentences", "collapse_llm.sampler.given:FixedSentences")
    yield Entry("sampler", "true-answers", "collapse_llm.sampler.given:TrueAnswers")
    yield Entry("reward", "rouge-distance", "collapse_llm.rewards:RougeDistance")
    yield Entry("reward", "content-distance", "collapse_llm.rewards.content:ContentDistance")
    yield Entry("reward", "embedding-distance", "collapse_llm.rewards.distance:EmbeddingDistance")
    yield Entry("reward", "fluency", "collapse_llm.rewards.fluency:Fluency")
    yield Entry("reward", "fits-question", "collapse_llm.rewards.likelihood:FitsQuestion")
    yield Entry("reward", "reference-unlikelihood", "collapse_llm.rewards.likelihood:ReferenceUnlikelihood")
    yield Entry("reward", "refusal-likeness", "collapse_llm.rewards.manners:RefusalLikeness")
    yield Entry("reward", "length", "collapse_llm.rewards.manners:MinimumLength")
    yield Entry("reward", "repetition", "collapse_llm.rewards.manners:Repetition")
    yield Entry("reward", "diversity", "collapse_llm.rewards.manners:Diversity")
    yield Entry("reward", "banned-content", "collapse_llm.rewards.banned:BannedContent")
    yield Entry("reward", "judge", "collapse_llm.rewards.judge:Judge")
    yield Entry("features", "sentence-embedding", "collapse_llm.rewards.embedding:SentenceEmbedding")
    yield from _updaters()
    yield Entry("evaluator", "unlearn-quality", "collapse_llm.evaluators:UnlearnQuality")
    yield Entry("evaluator", "utility", "collapse_llm.evaluators:Utility")
    yield Entry("evaluator", "likelihood", "collapse_llm.evaluators:Likelihood")
    yield Entry("evaluator", "model-utility", "collapse_llm.evaluators:ModelUtility")
    yield Entry("evaluator", "forget-quality", "collapse_llm.evaluators:ForgetQuality")
    yield Entry("evaluator", "memorization", "collapse_llm.evaluators:Memorization")
    yield Entry("evaluator", "membership", "collapse_llm.evaluators:Membership")
    yield Entry("evaluator", "privleak", "collapse_llm.evaluators:PrivLeak")
    yield Entry("evaluator", "fact-words", "collapse_llm.evaluators:FactWords")
    yield Entry("evaluator", "responses", "collapse_llm.evaluators:Responses")
    yield Entry("evaluator", "token-shift", "collapse_llm.evaluators:TokenShift")
    yield Entry("evaluator", "least-likely-option", "collapse_llm.evaluators:LeastLikelyOption")
    yield Entry("evaluator", "leakage", "collapse_llm.evaluators.attacks:Leakage")
    yield Entry("evaluator", "text-relearning", "collapse_llm.evaluators.attacks:TextRelearning")
    yield Entry("evaluator", "quantization", "collapse_llm.evaluators.attacks:Quantization")


def _updaters() -> Iterable[Entry]:
    yield Entry("updater", "sft", "collapse_llm.updater:Sft")
    yield Entry("updater", "gradient-ascent", "collapse_llm.updater.methods:GradientAscent")
    yield Entry("updater", "npo", "collapse_llm.updater.methods:Npo")
    yield Entry("updater", "simnpo", "collapse_llm.updater.methods:SimNpo")
    yield Entry("updater", "unlikelihood", "collapse_llm.updater.rejecting:Unlikelihood")
    yield Entry("updater", "wga", "collapse_llm.updater.rejecting:Wga")
    yield Entry("updater", "satimp", "collapse_llm.updater.rejecting:SatImp")
    yield Entry("updater", "ce-u", "collapse_llm.updater.rejecting:CeU")
    yield Entry("updater", "undial", "collapse_llm.updater.rejecting:Undial")
    yield Entry("updater", "dpo", "collapse_llm.updater.methods:Dpo")
    yield Entry("updater", "rmu", "collapse_llm.updater.methods:Rmu")
    yield Entry("updater", "aligned-sft", "collapse_llm.updater.methods:AlignedSft")
