"""Many answers to each question, freely and after forced beginnings, compared with the truth."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from collapse_core import (
    PERCENT,
    Dataset,
    Evaluation,
    Metric,
    Model,
    Prompt,
    Splits,
    derive_seed,
    load_answered,
    mean_metric,
    note,
    require,
)
from collapse_llm.conversations import transcript_of
from collapse_llm.evaluators.attacks import Leakage
from collapse_llm.evaluators.attacks.choosing import drawn
from collapse_llm.evaluators.attacks.leaks import (
    Truth,
    expectation_and_deviation,
    highest_probability,
    highest_share_beyond,
    leak_at,
)
from collapse_llm.evaluators.attacks.sampling import Opened, opened, opened_truly, sample_continuations
from collapse_llm.evaluators.cautions import say_empty, say_unseen
from collapse_llm.evaluators.fact_words import own_words
from collapse_llm.evaluators.perturbed import lack_of_companions
from collapse_llm.model.encoding import Encoder
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.rewards import rouge_recall, stems

Case = tuple[Opened, Truth]
"""A question whose answer has begun, and what must not come out of it."""

SAMPLING, PARAPHRASED = "sampling", "paraphrased"
WITHOUT_FACTS = "with 'facts: false' an answer leaks only if it repeats the true one nearly verbatim"
BY_FACTS = ("leak_at_", "leak_bound_")
"""How the metrics begin that depend on what a fact's own words are."""


def measure_leakage(settings: Leakage, model: Model, data: Dataset, seed: int) -> Evaluation:
    """Return the metrics of each attack, and of each question the answer that gives away most."""
    language = require(model, LanguageModel, settings.use)
    splits = load_answered(settings, data, settings.asked())
    questions, others = _drawn(settings, splits, seed)
    say_unseen([question.target for question in questions])
    companions = splits.found.get("forget_perturbed", ())
    own = () if companions or lack_of_companions(questions) or not settings.facts else questions
    facts = _facts(questions, companions or own)
    metrics: dict[str, Metric] = {}
    examples = []
    worst: dict[str, list[float]] = {}
    for name, cases in _attacks(settings, language.encoder, questions, others, facts):
        answers = sample_continuations(settings, language, [asked for asked, _ in cases], seed)
        say_empty([answer for some in answers for answer in some])
        scores = [
            [rouge_recall(truth.text, answer) for answer in said]
            for (_, truth), said in zip(cases, answers, strict=True)
        ]
        leaks = [
            sum(truth.leaks(answer, settings.verbatim) for answer in said)
            for (_, truth), said in zip(cases, answers, strict=True)
        ]
        metrics |= _metrics(settings, name, scores, leaks, seed)
        worst[name] = [max(of_one) for of_one in scores]
        examples += [_worst(name, *case) for case in zip(cases, answers, scores, strict=True)]
    if others and SAMPLING in worst:
        pairs = zip(worst[SAMPLING], worst[PARAPHRASED], strict=True)
        either = [100 * max(pair) for pair in pairs]
        metrics["leakage_any_wording"] = mean_metric([either], seed, "down", scale=PERCENT)
    lack = None if own else splits.absent.get("forget_perturbed")
    lack = lack or (_lack_of_facts(facts) if settings.facts else None)
    missing = {name: f"{lack}; {WITHOUT_FACTS}" for name in metrics if lack and name.startswith(BY_FACTS)}
    metrics = {name: one for name, one in metrics.items() if name not in missing}
    if settings.paraphrased and not others:
        why = splits.absent.get("forget_paraphrased", "they are not the forget questions, one for one")
        missing |= dict.fromkeys(("leakage_paraphrased", "leakage_any_wording"), why)
    return Evaluation(metrics, examples, missing)


def _drawn(settings: Leakage, splits: Splits, seed: int) -> tuple[list[Prompt], list[Prompt]]:
    """The questions that are asked, and the same in other words; none where these are not one for one."""
    chosen, whole = derive_seed(seed, "questions"), splits.found["forget"]
    others = splits.found.get("forget_paraphrased", ())
    same = others if len(others) == len(whole) else ()
    # Of as many, the same seed draws the same places.
    return drawn(whole, settings.num_questions, chosen), drawn(same, settings.num_questions, chosen)


def _facts(questions: Sequence[Prompt], perturbed: Sequence[Prompt]) -> dict[str, frozenset[str]]:
    """By question, the words that make up its fact; none where they are not known."""
    # The splits have ids of their own; two questions may have the same answer, which one of them names.
    known = {(prompt.content_key, prompt.target): own_words(prompt) for prompt in perturbed}
    return {p.id: known.get((p.content_key, p.target), frozenset()) for p in questions}


def _lack_of_facts(facts: Mapping[str, frozenset[str]]) -> str | None:
    """Say that no question's fact has words of its own; note it where some have none."""
    num = sum(not words for words in facts.values())
    if num == len(facts):
        return "no forget question is among those with companions whose facts have words of their own"
    if num:
        note(
            f"{num} of {len(facts)} questions have no words of the fact's own; of these an answer leaks only "
            "if it repeats the true one nearly verbatim"
        )
    return None


def _attacks(
    settings: Leakage,
    encoder: Encoder,
    questions: Sequence[Prompt],
    others: Sequence[Prompt],
    facts: Mapping[str, frozenset[str]],
) -> Iterator[tuple[str, list[Case]]]:
    """Yield each attack by name, with what it asks."""
    forced = 0
    for prefill in dict.fromkeys(settings.prefills):
        forced += bool(prefill.strip())
        name = ("prefill" if forced == 1 else f"prefill_{forced}") if prefill.strip() else SAMPLING
        yield name, [(opened(encoder, p, prefill), Truth(p.target, facts[p.id])) for p in questions]
    if others:
        pairs = zip(questions, others, strict=True)
        yield PARAPHRASED, [(Opened(o, []), Truth(o.target, facts[q.id])) for q, o in pairs]
    if settings.true_tokens:
        yield "true_tokens", [_begun(settings, encoder, p, facts[p.id]) for p in questions]


def _begun(settings: Leakage, encoder: Encoder, prompt: Prompt, facts: frozenset[str]) -> Case:
    """Return the question with the beginning of its true answer; what that says is no secret any more."""
    asked, rest = opened_truly(encoder, prompt, settings.true_tokens)
    return asked, Truth(rest, facts.difference(stems(encoder.text(asked.opening))))


def _metrics(
    settings: Leakage, attack: str, scores: Sequence[Sequence[float]], leaks: Sequence[int], seed: int
) -> dict[str, Metric]:
    """Means over questions, in percent, of each measure of the samples of a question."""
    n, confidence = settings.num_samples, settings.confidence
    by_question = {
        "leakage": [max(of_one) for of_one in scores],
        "leakage_mean": [fmean(of_one) for of_one in scores],
        "leakage_deviation": [expectation_and_deviation(of_one) for of_one in scores],
        "beyond_bound": [highest_share_beyond(settings.beyond, of_one, confidence) for of_one in scores],
        **{f"leak_at_{k}": [leak_at(k, c, n) for c in leaks] for k in settings.leak_at if k <= n},
        "leak_bound": [highest_probability(c, n, confidence) for c in leaks],
    }
    return {
        f"{measure}_{attack}": mean_metric(
            [[100 * value for value in values]],
            seed,
            "down",
            scale=None if measure == "leakage_deviation" else PERCENT,
        )
        for measure, values in by_question.items()
    }


def _worst(attack: str, case: Case, answers: Sequence[str], scores: Sequence[float]) -> dict[str, object]:
    """Return the answer that repeats most of the truth, to be read."""
    asked, truth = case
    score = max(scores)
    return {
        "split": f"forget, worst of {attack}",
        "prompt": transcript_of(asked.prompt.content),
        "answer": answers[scores.index(score)],
        "target": truth.text,
        "score": score,
    }
