"""What is measured in a language model."""

from collapse_llm.evaluators.answers import Likelihood, UnlearnQuality, Utility
from collapse_llm.evaluators.choices import MultipleChoice
from collapse_llm.evaluators.depth import Depth
from collapse_llm.evaluators.detect import Detect
from collapse_llm.evaluators.fact_words import FactWords
from collapse_llm.evaluators.harness import LmEval
from collapse_llm.evaluators.judged import Judged
from collapse_llm.evaluators.membership import Membership, PrivLeak
from collapse_llm.evaluators.memorization import Memorization
from collapse_llm.evaluators.muse import Muse
from collapse_llm.evaluators.neighbors import Neighbors
from collapse_llm.evaluators.options import LeastLikelyOption
from collapse_llm.evaluators.overlap import Overlap
from collapse_llm.evaluators.responses import Responses
from collapse_llm.evaluators.rwku import Rwku
from collapse_llm.evaluators.tofu import ForgetQuality, ModelUtility
from collapse_llm.evaluators.token_shift import TokenShift

__all__ = [
    "Depth",
    "Detect",
    "FactWords",
    "ForgetQuality",
    "Judged",
    "LeastLikelyOption",
    "Likelihood",
    "LmEval",
    "Membership",
    "Memorization",
    "ModelUtility",
    "MultipleChoice",
    "Muse",
    "Neighbors",
    "Overlap",
    "PrivLeak",
    "Responses",
    "Rwku",
    "TokenShift",
    "UnlearnQuality",
    "Utility",
]
