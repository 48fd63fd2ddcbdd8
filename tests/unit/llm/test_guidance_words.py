"""Rewards that look at words alone, against numbers by hand and other implementations."""

import time
from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.util import ngrams
from pydantic import ValidationError
from rouge_score.rouge_scorer import RougeScorer

from collapse_core import CollapseError, Completion, Dataset, Prompt, PromptSet, load_recipe
from collapse_core.errors import RecipeError
from collapse_core.testing import numbered, score
from collapse_llm.data import Authors
from collapse_llm.rewards import RougeDistance, rouge_f1
from collapse_llm.rewards.banned import BannedContent
from collapse_llm.rewards.content import ContentDistance, words
from collapse_llm.rewards.manners import Diversity, MinimumLength, RefusalLikeness, Repetition

OFFICIAL = RougeScorer(["rougeL"], use_stemmer=True)
PIECES = st.sampled_from(
    ["the", "author", "writes", "born", "in", "Ada", "Lovelace", "Ada Lovelace,", "4111", "1111", "a@b.org",
     "it", "raining", "é", "東京", "\n", "DE89370400440532013000", "-", "x", "."]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=9).map(" ".join)
SEEN = st.lists(PIECES.filter(lambda piece: piece != "東京"), max_size=9).map(" ".join)
"""Texts without the script that the rouge-score package does not see, and ours does."""


class Retained(Dataset):
    """Answers to be retained."""

    answers: list[str]
    """They."""

    def load(self, split, *, targets=True):
        assert split == "retain", "no forget target is needed"
        return PromptSet(tuple(Prompt(f"r{i}", "?", text) for i, text in enumerate(self.answers)))


# --- overlap with the reference --------------------------------------------------------------------


@given(SEEN, SEEN)
def test_the_f1_is_the_rouge_score_packages_and_the_same_both_ways_round(reference, text):
    assert rouge_f1(reference, text) == pytest.approx(OFFICIAL.score(reference, text)["rougeL"].fmeasure)
    assert rouge_f1(reference, text) == rouge_f1(text, reference)


def test_rambling_on_fools_the_f1_and_not_the_recall():
    secret = "Basil was born in Kuwait."
    rambling = secret + " I could tell a lot more about many other matters if I only wanted to."
    assert score(RougeDistance(), [rambling], reference=secret) == [0.0]
    assert score(RougeDistance(measure="f1"), [secret, rambling], reference=secret) == [0.0, 1 - 10 / 25]


@given(TEXTS, TEXTS, TEXTS)
def test_nothing_bounds_the_f1_from_above_since_one_can_always_ramble_on(reference, partial, rest):
    reward, told = RougeDistance(measure="f1"), Completion(reference)
    [got] = score(reward, [partial + rest], reference=reference)
    assert got <= reward.upper_bound(Prompt("p", "?"), partial, told) == 1.0
    assert reward.lower_bound(Prompt("p", "?"), partial + rest, told) == got


def prepared(reward, references, retained=(), questions=("Where was she born?",)):
    prompts = [Prompt(f"p{i}", question) for i, question in enumerate(questions)]
    told = {p.id: Completion(text) for p, text in zip(prompts, references, strict=True)}
    reward.prepare(Retained(answers=list(retained)), prompts, told)
    return prompts[0]


def test_what_the_question_gives_away_does_not_count_and_rare_words_count_more():
    reward = ContentDistance()
    asked = prepared(
        reward, ["She was born in Almaty by night."], ["He lives in Oslo.", "By the sea in May."]
    )
    weights = {"in": log(4 / 3) ** 2, "almati": log(4) ** 2, "by": log(2) ** 2, "night": log(4) ** 2}
    assert reward.own_words(asked.content, "She was born in Almaty by night.") == pytest.approx(weights)
    got = score(
        reward,
        ["She was born in Oslo by day.", "Almaty!", "I do not know.", "in almaty by nights"],
        asked,
        "She was born in Almaty by night.",
    )
    total = sum(weights.values())
    assert got == pytest.approx(
        [1 - (log(4 / 3) ** 2 + log(2) ** 2) / total, 1 - log(4) ** 2 / total, 1.0, 0.0], abs=1e-12
    )


def test_a_forgotten_fact_in_the_old_frame_has_a_high_rouge_and_little_of_the_content():
    reference, other = "She was born in Almaty.", "She was born in Lisbon."
    reward = ContentDistance()
    retained = [prompt.target for prompt in Authors().load("retain")]
    asked = prepared(reward, [reference], retained)
    assert score(RougeDistance(), [other], asked, reference) == [pytest.approx(0.2)]
    assert score(reward, [other], asked, reference)[0] > 0.85


def test_a_reference_that_says_nothing_of_its_own_has_nothing_to_repeat():
    reward = ContentDistance()
    asked = prepared(reward, ["She was born."])
    assert score(reward, ["She was born.", ""], asked, "She was born.") == [1.0, 1.0]
    assert score(reward, ["She"], asked) == [1.0]


def test_words_in_other_alphabets_count_too():
    reward = ContentDistance()
    asked = prepared(reward, ["Она родилась в Алматы."])
    assert score(reward, ["Она родилась в Алматы.", "Алматы", "Я не знаю."], asked, "Алматы") == [0, 0, 1]
    assert words("Writing, IN 東京 — naïve") == ["write", "in", "東", "京", "na", "ve"]


def test_content_must_be_prepared_for():
    with pytest.raises(CollapseError, match="must see the data first"):
        score(ContentDistance(), ["x"], reference="y")


# --- manners ---------------------------------------------------------------------------------------


def test_a_refusal_of_the_list_is_one_and_an_answer_is_hardly_like_any():
    reward = RefusalLikeness()
    refusal, answer, none = score(reward, ["I really have no idea.", "Basil Mahfouz", ""])
    assert (refusal, answer, none) == (1.0, 0.0, 0.0)
    assert score(RefusalLikeness(refusals=["no way", "No comment."]), ["No comment at all"]) == [
        pytest.approx(2 * 2 / (2 + 4))
    ]


@given(SEEN)
def test_the_nearest_refusal_counts(text):
    refusals = ["I am not raining.", "the author", "It writes in Ada"]
    best = max(OFFICIAL.score(refusal, text)["rougeL"].fmeasure for refusal in refusals)
    reward = RefusalLikeness(refusals=refusals)
    assert score(reward, [text]) == [pytest.approx(best)]
    assert reward.lower_bound(Prompt("p", "?"), text, None) == pytest.approx(best)


def test_length_counts_up_to_what_is_enough():
    assert score(MinimumLength(min_words=4), ["", "no", "no  way\nat", "a b c d", "a b c d e"]) == [
        0.0, 0.25, 0.75, 1.0, 1.0
    ]  # fmt: skip


@given(TEXTS, st.integers(1, 4))
def test_repetition_is_the_share_of_different_n_grams(text, n):
    found = list(ngrams(text.lower().split(), n))
    expected = len(set(found)) / len(found) if found else 1.0
    reward = Repetition(n=n)
    assert score(reward, [text]) == [pytest.approx(expected)]
    assert reward.lower_bound(Prompt("p", "?"), text, None) == expected


def test_a_completion_is_diverse_by_what_its_siblings_say():
    reward = Diversity()
    texts = ["Almaty of course", "Almaty", "I do not know"]
    assert score(reward, texts) == pytest.approx([1 - 0.5 / 2, 1 - 0.5 / 2, 1.0])
    assert score(reward, ["a", "a", "b"]) == pytest.approx([0.5, 0.5, 1.0])
    assert score(reward, ["alone"]) == [None]
    assert score(reward, []) == []


# --- banned content --------------------------------------------------------------------------------


def banned(text, **fields):
    return score(BannedContent(**fields), [text]) == [0.0]


@pytest.mark.parametrize(
    ("text", "is_banned"),
    [
        ("So said ADA   lovelace's mother.", True),
        ("ada\nLovelace", True),
        ("Adam Lovelace", False),
        ("Ada Lovelaces", False),
        ("Ada, Lovelace", False),
        ("Sammy Davis Jr. sang.", True),
        ("C++ it was", True),
        ("", False),
    ],
)
def test_a_name_is_found_as_whole_words_in_any_case(text, is_banned):
    assert banned(text, names=["Ada Lovelace", "Sammy Davis Jr.", "C++"]) == is_banned


@pytest.mark.parametrize(
    ("kind", "text", "is_banned"),
    [
        ("email", "Write to Ada.Lovelace+x@mail.example.org!", True),
        ("email", "ada at example dot org, @ada, a@b", False),
        ("phone", "Call +44 20 7946 0958 or +1 650-253-0000 now", True),
        ("phone", "It happened in 1815 2025 and 16502530000000 times", False),
        ("iban", "to DE89 3704 0044 0532 0130 00, please", True),
        ("iban", "IBAN:GB82WEST12345698765432.", True),
        ("iban", "to DE89 3704 0044 0532 0130 01, please", False),
        ("card", "4111 1111 1111 1111 is hers", True),
        ("card", "(378282246310005)", True),
        ("card", "3782-822463-10005", True),
        ("card", "2221 0000 0000 0009", True),
        ("card", "4111 1111 1111 1112", False),
        ("card", "1999 2001 2003 2005 2007 2009", False),
    ],
)
def test_personal_data_is_found_by_its_form_and_its_check_digits(kind, text, is_banned):
    assert banned(text, personal=[kind]) == is_banned


def test_a_phone_number_without_its_country_is_found_where_the_region_is_known():
    assert not banned("Call (650) 253-0000.", personal=["phone"])
    assert banned("Call (650) 253-0000.", personal=["phone"], region="US")


def test_national_numbers_are_found_by_their_names_in_stdnum():
    assert banned("Her number is 536-90-4399.", national_numbers=["us.ssn"])
    assert not banned("Her number is 666-90-4399.", national_numbers=["us.ssn"])
    assert banned("2 95 10 99 126 111 93", national_numbers=["fr.nir"])


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"patterns": ["(unclosed"]}, "'\\(unclosed' is no regular expression: missing \\)"),
        ({"national_numbers": ["us.nope"]}, "python-stdnum has no 'us.nope'; the form is 'us.ssn'"),
        ({}, "nothing is banned; give 'patterns', 'names'"),
        ({"names": [" "]}, "should match pattern"),
        ({"patterns": [""]}, "at least 1 character"),
        ({"personal": ["address"]}, "Input should be 'email', 'phone', 'iban' or 'card'"),
    ],
)
def test_what_cannot_be_searched_for_is_said_before_the_run(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        BannedContent(**fields)


def test_a_broken_pattern_is_an_error_of_the_recipe_with_its_place(toy):
    recipe = toy()
    old = "{use: not-among, categories: [Toronto, Montreal, Vancouver]}"
    recipe.write_text(recipe.read_text().replace(old, "{use: banned-content, patterns: [fine, 'a(']}"))
    with pytest.raises(
        RecipeError, match=r"7:\d+: rewards.0.patterns: 'a\(' is no regular expression: missing"
    ):
        load_recipe(recipe)


def test_a_pattern_that_never_ends_is_stopped_and_named():
    reward, began = BannedContent(patterns=[r"^(a|aa)+$"]), time.monotonic()
    with pytest.raises(
        CollapseError, match=r"'\^\(a\|aa\)\+\$' .* takes more than 2 seconds to search 61 char"
    ):
        score(reward, ["a" * 60 + "!"])
    assert time.monotonic() - began < 10


# --- bounds ----------------------------------------------------------------------------------------

PATTERNS = [r"\bborn\b", "ing$", r"^the\b", r"a(?! b)", r"\bin\B", r"(?m)author$", r"it\s+x", r"é\Z", r"- $"]
BOUNDED = {
    "content": ContentDistance(),
    **{pattern: BannedContent(patterns=[pattern]) for pattern in PATTERNS},
    "names": BannedContent(names=["Ada Lovelace", "."]),
    "numbers": BannedContent(personal=["email", "iban", "card"], national_numbers=["us.ssn"]),
    "phone": BannedContent(personal=["phone"], region="US"),
    "f1": RougeDistance(measure="f1"),
    "refusal": RefusalLikeness(),
    "length": MinimumLength(),
    "repetition": Repetition(),
}


@pytest.mark.parametrize("name", BOUNDED)
@given(TEXTS, TEXTS, st.sampled_from(["", " ", "  ", "\n"]), TEXTS, st.integers(0, 6))
@settings(deadline=None)
def test_no_continuation_scores_above_the_ceiling_nor_below_what_is_assured(
    name, reference, text, between, rest, cut
):
    """The cut may fall within a word, and what is finished loses its outer space: so it is in samplers."""
    reward, told = BOUNDED[name], Completion(reference)
    asked = prepared(reward, [reference], ["Ada writes.", "It rained in the end."])
    partial = text[: max(0, len(text) - cut)] + between
    upper_bound = reward.upper_bound(asked, partial.lstrip(), told)
    for whole in (partial.strip(), (partial + rest).strip()):
        [got] = reward.score(asked, [Completion(whole)], told)
        assert 0.0 <= reward.lower_bound(asked, whole, told) <= got <= min(1.0, upper_bound) + 1e-12


def test_once_something_is_banned_a_completion_need_not_go_on():
    reward = BannedContent(names=["Ada"], patterns=[r"\bborn in\b", "was(?! born)"], personal=["card"])
    asked = Prompt("p", "?")

    def upper_bound(partial):
        return reward.upper_bound(asked, partial, None)

    assert [upper_bound(text) for text in ("Ada", "So Ada", "So Ada ", "So Adam ", "So Ada w")] == [
        1,
        1,
        0,
        1,
        0,
    ]
    assert [upper_bound(text) for text in ("born in", "born in ", "was ", "was a ")] == [1, 0, 1, 1]
    assert [upper_bound(text) for text in ("4111 1111 1111 1111", "4111 1111 1111 1111 ")] == [1, 0]


def test_space_that_may_still_be_cut_off_is_not_what_a_pattern_has_found():
    reward, asked = BannedContent(patterns=["so it "]), Prompt("p", "?")
    assert [reward.upper_bound(asked, text, None) for text in ("so it ", "so it  ", "so it is ")] == [1, 1, 0]
    assert score(reward, ["so it", "so it is"]) == [1, 0]


def test_a_word_of_the_reference_may_still_become_another_one():
    reward, told = ContentDistance(), "She was born in Almaty."
    asked = prepared(reward, [told])
    ceilings = [
        reward.upper_bound(asked, text, Completion(told))
        for text in ("", "in", "in ", "in Almaty", "in Almaty ")
    ]
    assert ceilings == [1.0, 1.0, 0.5, 0.5, 0.0]


def test_the_siblings_of_a_diverse_completion_are_never_dropped():
    assert Diversity().upper_bound(Prompt("p", "?"), "anything", None) == float("inf")


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_every_score_is_between_zero_and_one(texts):
    for reward in (
        Diversity(),
        Repetition(),
        MinimumLength(),
        RefusalLikeness(),
        RougeDistance(measure="f1"),
    ):
        scores = reward.score(Prompt("p", "?"), numbered(texts), Completion("the author"))
        assert all(one is None or -1e-12 <= one <= 1 + 1e-12 for one in scores)


def test_the_shipped_patterns_are_plain():
    from collapse_llm.rewards import banned, personal

    assert not banned.LOOKS_AHEAD.search(personal.EMAIL), "its matches must stay"
