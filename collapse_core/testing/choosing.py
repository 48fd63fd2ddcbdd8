"""What is checked of rewards, of the features that they look at, and of filters."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace

from collapse_core.contracts.interfaces import Dataset, Features, Filter, Reward
from collapse_core.contracts.types import Completion, Content, Group, Iteration, Kept, Prompt, PromptSet
from collapse_core.testing.domain import watched

ITERATION = Iteration(0, 2, 0)
PROMPT = Prompt("prompt", "What is it?", target="It is a secret.")

# --- rewards ---------------------------------------------------------------------------------------


def numbered(contents: Sequence[Content]) -> tuple[Completion, ...]:
    """Completions of these contents."""
    return tuple(Completion(content, number) for number, content in enumerate(contents))


def score(
    reward: Reward, contents: Sequence[Content], prompt: Prompt = PROMPT, reference: Content | None = None
) -> list[float | None]:
    """What a reward gives to completions of these contents; it sees the target only if it needs it."""
    shown = prompt if reward.needs_targets else prompt.without_target()
    known = None if reference is None else Completion(reference)
    return list(reward.score(shown, numbered(contents), known))


def check_reward(
    reward: Reward,
    contents: Sequence[Content],
    prompt: Prompt = PROMPT,
    reference: Content | None = None,
    continuations: Sequence[tuple[Content, Content]] = (),
    data: Dataset | None = None,
) -> None:
    """Check that a reward scores each completion by itself, and that its bounds hold.

    Args:
        reward: The reward.
        contents: What completions may look like, at least two different ones.
        prompt: What they answer.
        reference: The model's own answer before unlearning; without one, the first content.
        continuations: Pairs of a partial completion and something that it can become, for `upper_bound`.
        data: What the reward prepares itself with; without it, the contents are the retain data.
    """
    name, reference = type(reward).__name__, contents[0] if reference is None else reference
    _prepare(reward, data or Given(contents=list(contents)), prompt, reference)
    scores = score(reward, contents, prompt, reference)
    assert len(scores) == len(contents), f"{name} gives {len(scores)} scores for {len(contents)} completions"
    for content, one in zip(contents, scores, strict=True):
        assert one is None or isinstance(one, (int, float)), f"{name} gives {one!r}: a number, or None"
        assert one is None or math.isfinite(one), f"{name} gives {one} for {content!r}: it must be finite"
        assert one is None or one <= reward.maximum, f"{name} gives {one}, more than its maximum"
    assert score(reward, contents, prompt, reference) == scores, f"{name} gives other scores the second time"
    _prepare(reward, data or Given(contents=list(contents)), prompt, reference)
    assert score(reward, contents, prompt, reference) == scores, f"{name} learns something else each time"
    backwards = score(reward, contents[::-1], prompt, reference)[::-1]
    assert _close(backwards, scores), f"the scores of {name} depend on the order of the completions"
    assert list(score(reward, [], prompt, reference)) == [], f"{name} gives scores for no completions"
    shown = prompt if reward.needs_targets else prompt.without_target()
    for partial, whole in [*continuations, *((content, content) for content in contents)]:
        bound = reward.upper_bound(shown, partial, Completion(reference))
        got = score(reward, [whole], prompt, reference)[0]
        assert got is None or got <= bound, (
            f"{name} claims that {partial!r} can reach at most {bound}, but {whole!r} gets {got}"
        )


def _prepare(reward: Reward, data: Dataset, prompt: Prompt, reference: Content) -> None:
    name, before, (watching, seen) = type(reward).__name__, reward.digest(), watched(data)
    shown = prompt if reward.needs_targets else prompt.without_target()
    reward.prepare(watching, [shown], {prompt.id: Completion(reference)})
    undeclared = sorted(set(seen) - set(reward.reads))
    assert not undeclared, f"{name} reads the true answers of {undeclared}, but not so in its `reads`"
    assert reward.digest() == before, f"{name} writes what it learns into its fields"


class Given(Dataset):
    """Contents to retain, and nothing else."""

    contents: list[Content]
    """What every split holds, as answers to one question."""

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """The contents."""
        answers = enumerate(self.contents if targets else [None] * len(self.contents))
        return PromptSet(tuple(Prompt(f"{split}-{i}", PROMPT.content, answer) for i, answer in answers))


# --- features --------------------------------------------------------------------------------------


def check_features(features: Features, contents: Sequence[Content], data: Dataset | None = None) -> None:
    """Check that features place each content by itself, and learn from the retain data alone.

    Args:
        features: The features.
        contents: What completions may look like, at least two different ones.
        data: What they prepare themselves with; without it, the contents are the retain data.
    """
    name, before = type(features).__name__, features.digest()
    data, seen = watched(data or Given(contents=list(contents)))
    features.prepare(data)
    assert set(seen) <= {"retain"}, f"{name} reads {sorted(set(seen))}: it may learn from 'retain' alone"
    assert features.digest() == before, f"{name} writes what it learns into its fields"
    rows = [list(map(float, row)) for row in features.extract(contents)]
    assert len(rows) == len(contents), f"{name} gives {len(rows)} rows for {len(contents)} contents"
    assert len({len(row) for row in rows}) == 1, f"{name} gives rows of different lengths"
    assert all(math.isfinite(x) for row in rows for x in row), f"{name} gives numbers that are not finite"
    assert len({tuple(row) for row in rows}) > 1, f"{name} places all contents at one point"
    alone = [list(map(float, features.extract([content])[0])) for content in contents]
    for one, other in zip(alone, rows, strict=True):
        close = all(math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-5) for a, b in zip(one, other, strict=True))
        assert close, f"{name} places a content by what it is extracted with"
    assert len(features.extract([])) == 0, f"{name} gives rows for no contents"


def _close(some: Sequence[float | None], others: Sequence[float | None]) -> bool:
    pairs = list(zip(some, others, strict=True))
    return all((a is None) == (b is None) for a, b in pairs) and all(
        math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in pairs if a is not None and b is not None
    )


# --- filters ---------------------------------------------------------------------------------------


def scored(prompt: str, *rewards: float) -> Group:
    """A group of completions with these rewards; their contents are their numbers."""
    return Group(Prompt(prompt, prompt), numbered(range(len(rewards))), tuple(map(float, rewards)))


def _choice(kept: Kept) -> Kept:
    """What was chosen, apart from how it is to be learned."""
    return replace(kept, weight=1.0, against=None)


def check_filter(filter_: Filter) -> None:
    """Check that a filter chooses among what it is given, always the same, and copes with nothing."""
    name = type(filter_).__name__
    groups = [scored("a", 0.1, 0.9, 0.9), scored("b", -1.0), scored("c"), scored("d", 0.5, 0.2)]
    incumbents = {"c": scored("c", 1.0).keep(0), "d": scored("d", 0.0, 0.0, 0.3).keep(2)}
    given = [_choice(group.keep(index)) for group in groups for index in range(len(group.rewards))]
    kept = filter_.keep(groups, copy.deepcopy(incumbents), ITERATION)
    for one in kept:
        known = given + [_choice(incumbent) for incumbent in incumbents.values()]
        assert _choice(one) in known, f"{name} keeps {one}, which is in no group and no incumbent"
    if not filter_.sets_weights():
        assert all(one.weight == 1 for one in kept), f"{name} sets weights and does not declare it"
    assert filter_.keep(groups, incumbents, ITERATION) == kept, f"{name} keeps something else the second time"
    assert filter_.keep([], {}, ITERATION) == [], f"{name} keeps something of nothing"
    assert filter_.keep([scored("c")], {}, ITERATION) == [], f"{name} keeps something of an empty group"
    assert not filter_.settled(None), f"{name} settles a prompt that has not been sampled"
    if filter_.min_reward_to_keep(None) is not None:
        left = replace(groups[0].completions[0], finished=False)
        cut = replace(
            groups[0], completions=(left, *groups[0].completions[1:]), rewards=(-math.inf, 0.9, 0.9)
        )
        same = filter_.keep([cut, *groups[1:]], incumbents, ITERATION)
        assert same == kept, f"{name} claims that only the best matters, but another one does"
