"""`python -m benchmarks.answers_that_fit MODEL...`: how well wrong answers fit their questions.

Each exported model answers the questions to forget of `authors` greedily. The reward `fits-question` compares
how likely each question is after its answer with how likely it is after the true answers to other questions,
read by SmolLM2 as it comes, which knows none of the authors. Above one half an answer fits better than those.
"""

from statistics import fmean

import click

from collapse_core import Completion
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, PromptFormat
from collapse_llm.rewards.likelihood import FitsQuestion
from collapse_llm.sampler.answering import greedy_answers

READER = "smollm2-135m-instruct"
LONGEST = 40
"""Tokens of an answer, as in the recipes."""


def opened(path: str) -> CausalLm:
    """Return the loader of a model that is asked as the recipes ask it."""
    return CausalLm(path=path, prompt=PromptFormat(chat=False))


@click.command()
@click.argument("models", nargs=-1, required=True)
def main(models: tuple[str, ...]) -> None:
    """Print the mean fit of each model's answers, and how many percent fit better than others' answers."""
    data = Authors()
    prompts = list(data.load("forget"))
    truth = {prompt.id: Completion(prompt.target) for prompt in prompts}
    reward = FitsQuestion()
    reward.use_model(opened(READER).load(data, 0))
    reward.prepare(data, prompts, truth)

    def fits(answers: dict[str, Completion]) -> list[float]:
        return [reward.score(prompt, [answers[prompt.id]], None)[0] for prompt in prompts]

    described = {"the true answers": fits(truth)}
    for path in models:
        texts = greedy_answers(opened(path).load(data, 0), [one.without_target() for one in prompts], LONGEST)
        answers = {prompt.id: Completion(text) for prompt, text in zip(prompts, texts, strict=True)}
        described[path] = fits(answers)
    for name, found in described.items():
        above = 100 * fmean(one > 0.5 for one in found)
        print(f"{name:40} {fmean(found):.3f}   {above:.0f} %")


if __name__ == "__main__":
    main()
