"""Conversations are asked through the chat template; questions as text are asked as before."""

import json

import pytest

from collapse_core import CollapseError, Completion, Dataset, Iteration, Prompt, PromptSet
from collapse_core.testing import check_evaluator, check_sampler
from collapse_llm.conversations import text_of, transcript_of
from collapse_llm.data import Tofu
from collapse_llm.evaluators import FactWords, Likelihood, Membership, Memorization, UnlearnQuality
from collapse_llm.evaluators.attacks import Leakage, TextRelearning
from collapse_llm.evaluators.fact_words import own_words
from collapse_llm.model import PromptFormat
from collapse_llm.model.encoding import Encoder
from collapse_llm.rewards.content import ContentDistance
from collapse_llm.rewards.judge import Judge
from collapse_llm.sampler import Generate

TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}"
    "{% if date_string %}<today {{ date_string }}>{% endif %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
TALK = [
    {"role": "user", "content": "I like novels."},
    {"role": "assistant", "content": "Which author?"},
    {"role": "user", "content": "Maren Tollefsby. Where was she born?"},
]
ANSWER = "Maren Tollefsby was born in Tromso."


class Talks(Dataset):
    """Conversations that end in a question, with their companions."""

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        extra = {
            "paraphrased_answer": "She comes from Tromso.",
            "perturbed_answer": ["She was born in Bergen.", "She was born in Oslo."],
        }
        talks = [[*TALK[:2], {"role": "user", "content": f"{TALK[2]['content']} ({i})"}] for i in range(3)]
        prompts = [Prompt(f"{split}-{i}", talk, ANSWER, extra) for i, talk in enumerate(talks)]
        return PromptSet(tuple(p if targets else p.without_target() for p in prompts))


@pytest.fixture
def chatty(tokenizer):
    """The tiny tokenizer with a chat template of its own."""
    import copy

    copied = copy.deepcopy(tokenizer)
    copied.chat_template = TEMPLATE
    return copied


@pytest.fixture
def chat_model(model, chatty):
    model.encoder = Encoder(chatty, PromptFormat(chat=True), model.encoder.max_length)
    return model


def asked(tokenizer, question, **fields) -> str:
    encoder = Encoder(tokenizer, PromptFormat(**fields), 200)
    return str(tokenizer.decode(encoder.prompt(question)))


def test_a_conversation_is_put_to_the_model_by_its_chat_template(chatty):
    assert asked(chatty, TALK, chat=True) == (
        "<user>I like novels.\n<assistant>Which author?\n"
        "<user>Maren Tollefsby. Where was she born?\n<assistant>"
    )


def test_a_text_is_a_conversation_of_one_message(chatty):
    one = [{"role": "user", "content": "Who?"}]
    fields = {"chat": True, "system": "Be brief.", "date": "1 May"}
    assert asked(chatty, "Who?", **fields) == asked(chatty, one, **fields)
    assert asked(chatty, "Who?", **fields) == "<system>Be brief.\n<user>Who?\n<today 1 May><assistant>"


def test_the_recipes_system_message_yields_to_the_conversations_own(chatty):
    own = [{"role": "system", "content": "Be kind."}, *TALK]
    assert asked(chatty, own, chat=True, system="Be brief.") == asked(chatty, own, chat=True)
    assert asked(chatty, TALK, chat=True, system="Be brief.").startswith("<system>Be brief.\n<user>I like")


def test_a_conversation_is_refused_where_no_template_is_used(tokenizer, chatty):
    with pytest.raises(CollapseError, match=r"a prompt is a conversation.* set 'chat: true'"):
        asked(chatty, TALK, chat=False)
    assert tokenizer.chat_template is None
    for question in (TALK, "Who?"):
        with pytest.raises(
            CollapseError, match="needs a chat template, which the model's tokenizer does not"
        ):
            asked(tokenizer, question, chat=True)


def test_roles_that_the_template_refuses_are_one_sentence(chatty):
    chatty.chat_template = "{{ raise_exception('no system here') }}"
    with pytest.raises(CollapseError, match=r"does not take these messages \(no system here\): system, user"):
        asked(chatty, "Who?", chat=True, system="Be brief.")


@pytest.mark.parametrize(
    ("question", "complaint"),
    [
        ([], "is neither text nor a list of messages"),
        (7, "is neither text nor a list of messages"),
        (["Who?"], "has a message that is not of the form"),
        ([{"role": "user"}], "has a message that is not of the form"),
        (TALK[:2], "ends with a message of the role 'assistant'"),
    ],
)
def test_a_question_that_cannot_be_asked_is_named_by_file_and_line(tmp_path, question, complaint):
    (tmp_path / "forget10.jsonl").write_text(json.dumps({"question": question, "answer": "I."}) + "\n")
    with pytest.raises(CollapseError, match=rf"forget10\.jsonl:1: 'question' {complaint}"):
        Tofu(path=str(tmp_path)).load("forget")


def test_conversations_are_read_from_files_as_they_are(tmp_path):
    (tmp_path / "forget10.jsonl").write_text(json.dumps({"question": TALK, "answer": ANSWER}) + "\n")
    [prompt] = Tofu(path=str(tmp_path)).load("forget")
    assert prompt.content == TALK


def test_answers_to_conversations_are_drawn_each_by_its_seed(chat_model):
    check_sampler(Generate(max_new_tokens=4), chat_model, list(Talks().load("forget")))


@pytest.mark.parametrize(
    "evaluator",
    [
        UnlearnQuality(max_new_tokens=4),
        Likelihood(),
        FactWords(max_new_tokens=4),
        Memorization(),
        Membership(),
        Leakage(num_samples=2, max_new_tokens=4, leak_at=[1]),
        TextRelearning(steps=[0, 1], max_new_tokens=4),
    ],
    ids=lambda evaluator: type(evaluator).__name__,
)
def test_evaluators_measure_answers_to_conversations(chat_model, evaluator):
    check_evaluator(evaluator, chat_model, Talks())
    for example in evaluator.evaluate(chat_model, Talks(), 0).examples:
        assert example["prompt"].startswith("user: I like novels.\nassistant: Which author?\nuser: Maren")


def test_what_any_message_says_is_no_word_of_the_facts_own():
    prompt = Talks().load("forget_perturbed")[0]
    assert own_words(prompt) == {"tromso"}
    spoiled = [{"role": "user", "content": "I have been to Tromso."}, *TALK]
    assert own_words(Prompt("p", spoiled, prompt.target, prompt.extra)) == frozenset()
    reward = ContentDistance()
    reward.prepare(Talks(), [prompt], {prompt.id: Completion(ANSWER)})
    assert "tromso" in reward.own_words(text_of(TALK), ANSWER)
    assert "author" not in reward.own_words(text_of(TALK), "The author is from Tromso.")
    assert reward.score(prompt, [Completion(ANSWER)], Completion(ANSWER)) == [0.0]


def test_a_judge_reads_the_whole_conversation(monkeypatch):
    seen = []
    judge = Judge(url="http://localhost:1/v1", model="m", template="{question}|{completion}")
    monkeypatch.setattr(Judge, "_ask_about", lambda self, texts, span: seen.extend(texts))
    judge.score(Prompt("p", TALK), [Completion("No idea.")], None)
    assert seen == [f"{transcript_of(TALK)}|No idea."]
    assert transcript_of(TALK).splitlines()[1] == "assistant: Which author?"


def test_a_model_is_taught_and_unlearned_on_conversations(chat_model):
    from collapse_core import Kept
    from collapse_llm.updater import Sft

    prompts = list(Talks().load("forget"))
    kept = [Kept(prompt.without_target(), Completion("I do not know."), 1.0) for prompt in prompts]
    losses = Sft(learning_rate=1e-2, epochs=2).update(chat_model, kept, prompts, Iteration(0, 1, 0))
    assert all(value > 0 for value in losses.values())


def test_a_template_without_a_system_role_gets_the_system_message_in_the_first_question(chatty):
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    with_role = asked(chatty, "Who?", chat=True)
    chatty.chat_template = refuses + chatty.chat_template
    assert asked(chatty, "Who?", chat=True, system="Be brief.") == with_role.replace(
        "Who?", "Be brief.\n\nWho?"
    )
    said = Encoder(chatty, PromptFormat(system="Be brief."), 200).described()
    assert "the system message at the head of the first user message" in said


def test_a_template_that_thinks_is_asked_not_to_unless_the_recipe_says_so(chatty):
    chatty.chat_template += "{% if not enable_thinking %}<no thought>{% endif %}"
    assert asked(chatty, "Who?", chat=True).endswith("<no thought>")
    assert not asked(chatty, "Who?", chat=True, arguments={"enable_thinking": True}).endswith("<no thought>")
    assert "enable_thinking=false" in Encoder(chatty, PromptFormat(), 200).described()


def test_what_is_assumed_of_how_to_ask_is_one_line(tokenizer, chatty):
    said = Encoder(chatty, PromptFormat(), 200).described()
    assert said == (
        "questions are put to the model in its own chat template, no system message but the rows' own; "
        "answers end with '<|end|>'"
    )
    assert "no system message" not in Encoder(chatty, PromptFormat(system="Be brief."), 200).described()
    plain = Encoder(tokenizer, PromptFormat(), 200).described()
    assert "in the form 'Question: {}\\nAnswer:', as its tokenizer has no chat template" in plain
