"""What this plugin contributes."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from collapse_core import Draft, Entry, hookimpl


@hookimpl
def collapse_draft(name: str, model: str | None, sources: Mapping[str, Any]) -> Draft | None:
    """Propose a recipe for a causal language model and questions."""
    if model is None:
        return None
    from collapse_llm.drafting import draft_recipe

    return draft_recipe(name, model, sources)


ENTRIES = (
    Entry("dataset", "authors", "collapse_llm.data:Authors"),
    Entry("dataset", "questions", "collapse_llm.data:Questions"),
    Entry("dataset", "passages", "collapse_llm.data:Passages"),
    Entry("dataset", "subjects", "collapse_llm.data:Subjects"),
    Entry("dataset", "tofu", "collapse_llm.data:Tofu"),
    Entry("dataset", "muse", "collapse_llm.data:Muse"),
    Entry("dataset", "wmdp", "collapse_llm.data:Wmdp"),
    Entry("dataset", "rwku", "collapse_llm.data:Rwku"),
    Entry("model", "causal-lm", "collapse_llm.model:CausalLm"),
    Entry("sampler", "generate", "collapse_llm.sampler:Generate"),
    Entry("sampler", "vllm", "collapse_llm.sampler.vllm:Vllm"),
    Entry("sampler", "vllm-server", "collapse_llm.sampler.vllm_server:VllmServer"),
    Entry("sampler", "sentences", "collapse_llm.sampler.given:FixedSentences"),
    Entry("sampler", "true-answers", "collapse_llm.sampler.given:TrueAnswers"),
    Entry("reward", "rouge-distance", "collapse_llm.rewards:RougeDistance"),
    Entry("reward", "content-distance", "collapse_llm.rewards.content:ContentDistance"),
    Entry("reward", "embedding-distance", "collapse_llm.rewards.distance:EmbeddingDistance"),
    Entry("reward", "fluency", "collapse_llm.rewards.fluency:Fluency"),
    Entry("reward", "fits-question", "collapse_llm.rewards.likelihood:FitsQuestion"),
    Entry("reward", "reference-unlikelihood", "collapse_llm.rewards.likelihood:ReferenceUnlikelihood"),
    Entry("reward", "refusal-likeness", "collapse_llm.rewards.manners:RefusalLikeness"),
    Entry("reward", "length", "collapse_llm.rewards.manners:MinimumLength"),
    Entry("reward", "repetition", "collapse_llm.rewards.manners:Repetition"),
    Entry("reward", "diversity", "collapse_llm.rewards.manners:Diversity"),
    Entry("reward", "banned-content", "collapse_llm.rewards.banned:BannedContent"),
    Entry("reward", "judge", "collapse_llm.rewards.judge:Judge"),
    Entry("features", "sentence-embedding", "collapse_llm.rewards.embedding:SentenceEmbedding"),
    Entry("updater", "sft", "collapse_llm.updater:Sft"),
    Entry("updater", "gradient-ascent", "collapse_llm.updater.methods:GradientAscent"),
    Entry("updater", "npo", "collapse_llm.updater.methods:Npo"),
    Entry("updater", "simnpo", "collapse_llm.updater.methods:SimNpo"),
    Entry("updater", "unlikelihood", "collapse_llm.updater.rejecting:Unlikelihood"),
    Entry("updater", "wga", "collapse_llm.updater.rejecting:Wga"),
    Entry("updater", "satimp", "collapse_llm.updater.rejecting:SatImp"),
    Entry("updater", "ce-u", "collapse_llm.updater.rejecting:CeU"),
    Entry("updater", "undial", "collapse_llm.updater.rejecting:Undial"),
    Entry("updater", "pdu", "collapse_llm.updater.flattening:Pdu"),
    Entry("updater", "jensun", "collapse_llm.updater.rejecting:JensUn"),
    Entry("updater", "dpo", "collapse_llm.updater.methods:Dpo"),
    Entry("updater", "policy-gradient", "collapse_llm.updater.policy:PolicyGradient"),
    Entry("updater", "rmu", "collapse_llm.updater.methods:Rmu"),
    Entry("updater", "aligned-sft", "collapse_llm.updater.methods:AlignedSft"),
    Entry("evaluator", "unlearn-quality", "collapse_llm.evaluators:UnlearnQuality"),
    Entry("evaluator", "utility", "collapse_llm.evaluators:Utility"),
    Entry("evaluator", "likelihood", "collapse_llm.evaluators:Likelihood"),
    Entry("evaluator", "model-utility", "collapse_llm.evaluators:ModelUtility"),
    Entry("evaluator", "forget-quality", "collapse_llm.evaluators:ForgetQuality"),
    Entry("evaluator", "open-unlearning", "collapse_llm.evaluators.open_unlearning:OpenUnlearning"),
    Entry("evaluator", "memorization", "collapse_llm.evaluators:Memorization"),
    Entry("evaluator", "membership", "collapse_llm.evaluators:Membership"),
    Entry("evaluator", "privleak", "collapse_llm.evaluators:PrivLeak"),
    Entry("evaluator", "fact-words", "collapse_llm.evaluators:FactWords"),
    Entry("evaluator", "responses", "collapse_llm.evaluators:Responses"),
    Entry("evaluator", "token-shift", "collapse_llm.evaluators:TokenShift"),
    Entry("evaluator", "least-likely-option", "collapse_llm.evaluators:LeastLikelyOption"),
    Entry("evaluator", "multiple-choice", "collapse_llm.evaluators:MultipleChoice"),
    Entry("evaluator", "muse-metrics", "collapse_llm.evaluators:Muse"),
    Entry("evaluator", "rwku-probes", "collapse_llm.evaluators:Rwku"),
    Entry("evaluator", "lm-eval", "collapse_llm.evaluators:LmEval"),
    Entry("evaluator", "judged", "collapse_llm.evaluators:Judged"),
    Entry("evaluator", "neighbors", "collapse_llm.evaluators:Neighbors"),
    Entry("evaluator", "overlap", "collapse_llm.evaluators:Overlap"),
    Entry("evaluator", "detect", "collapse_llm.evaluators:Detect"),
    Entry("evaluator", "depth", "collapse_llm.evaluators:Depth"),
    Entry("evaluator", "jailbreak", "collapse_llm.evaluators.attacks:Jailbreak"),
    Entry("evaluator", "leakage", "collapse_llm.evaluators.attacks:Leakage"),
    Entry("evaluator", "text-relearning", "collapse_llm.evaluators.attacks:TextRelearning"),
    Entry("evaluator", "quantization", "collapse_llm.evaluators.attacks:Quantization"),
)


@hookimpl
def collapse_convert(name: str, project: str, path: Path) -> Draft | None:
    """Make a recipe of an experiment of OpenUnlearning."""
    if project != "open-unlearning":
        return None
    from collapse_llm.converting import convert

    return convert(name, path)


@hookimpl
def collapse_components() -> Iterable[Entry]:
    """Everything that PMC on a causal language model needs."""
    return ENTRIES
