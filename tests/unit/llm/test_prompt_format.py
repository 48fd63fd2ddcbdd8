"""What a question becomes before the model reads it, whatever the tokenizer and its template."""

import copy

import pytest
from tokenizers.processors import TemplateProcessing

from collapse_core import CollapseError
from collapse_llm.model import CausalLm, PromptFormat
from collapse_llm.model.encoding import Encoder
from collapse_llm.model.language_model import LanguageModel

NO_SLOT = ["Question:\nAnswer:", "Q: %s", "{question}", "{} or {}", "{0}", "{{}}", "{} {name}", "{}}"]


@pytest.mark.parametrize("text", NO_SLOT)
@pytest.mark.parametrize("field", ["question", "answer"])
def test_a_format_that_would_drop_the_text_is_refused_with_the_recipe(field, text):
    with pytest.raises(ValueError, match=r"write \{\} once"):
        PromptFormat(**{field: text})


CHAT = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content | trim }}<|pad|>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
"""A template that ends its turns with a token that is not the tokenizer's end."""


def with_template(tokenizer, template: str):
    copied = copy.deepcopy(tokenizer)
    copied.chat_template = template
    return copied


def test_a_prompt_never_ends_with_what_the_tokenizer_puts_after_a_text(tokenizer):
    plain = Encoder(tokenizer, PromptFormat(), 200).prompt("Who?")
    appending = copy.deepcopy(tokenizer)
    appending.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|pad|> $A <|end|>", special_tokens=[("<|end|>", 0), ("<|pad|>", 1)]
    )
    encoder = Encoder(appending, PromptFormat(), 200)
    assert appending("Who?").input_ids[-1] == 0
    assert encoder.prompt("Who?") == [1, *plain]
    assert encoder.answer("I.") == Encoder(tokenizer, PromptFormat(), 200).answer("I.")


def test_an_answer_ends_as_the_chat_template_ends_a_turn(model, tokenizer):
    chatty = with_template(tokenizer, CHAT)
    loader = CausalLm(path="unused", compute="float32", prompt=PromptFormat(chat=True))
    chat_model = LanguageModel(model.module, chatty, loader)
    end = tokenizer.convert_tokens_to_ids("<|pad|>")
    assert chat_model.encoder.example("Who?", "I.").ids[-1] == end
    assert chat_model.end_ids == {end, tokenizer.eos_token_id}
    assert model.encoder.example("Who?", "I.").ids[-1] == tokenizer.eos_token_id


def test_a_template_that_ends_turns_with_text_leaves_the_tokenizers_end(tokenizer):
    chatty = with_template(tokenizer, CHAT.replace("<|pad|>", ""))
    assert Encoder(chatty, PromptFormat(chat=True), 200).end_id == tokenizer.eos_token_id


def test_a_tokenizer_without_an_end_is_refused(tokenizer):
    endless = copy.deepcopy(tokenizer)
    endless.eos_token = None
    with pytest.raises(CollapseError, match="no end-of-text token"):
        Encoder(endless, PromptFormat(), 200).example("Who?", "I.")


def test_todays_date_in_a_template_is_the_recipes_or_refused(tokenizer):
    chatty = with_template(tokenizer, "{{ strftime_now('%d %b %Y') }}" + CHAT)

    def asked(date: str | None) -> str:
        return chatty.decode(Encoder(chatty, PromptFormat(chat=True, date=date), 200).prompt("Who?"))

    assert asked("02 Jan 2020").startswith("02 Jan 2020<user>Who?")
    with pytest.raises(CollapseError, match=r"today's date.*set 'date'"):
        asked(None)


@pytest.mark.parametrize("chat", [False, True])
def test_special_tokens_in_data_stay_text(tokenizer, chat):
    chatty = with_template(tokenizer, CHAT)
    encoder = Encoder(chatty, PromptFormat(chat=chat), 200)
    said = "What does <|end|> mean?"
    special = {0, 1}
    assert special & {*tokenizer(said).input_ids}
    assert encoder.prompt(said).count(0) == 0
    assert encoder.prompt(said).count(1) == chat
    assert said in chatty.decode(encoder.prompt(said))
    assert not special & {*encoder.answer(said)}
    assert encoder.text(encoder.answer(said)) == said


def test_a_tag_that_the_model_says_itself_is_learned_and_taken_off_its_answers(tokenizer):
    form = PromptFormat(chat=False, question="Question: {}\n", answer="Answer: {}")
    encoder = Encoder(tokenizer, form, 200)
    example = encoder.example("Who?", "Answer me.")
    assert tokenizer.decode(example.ids[: example.answer_start]) == "Question: Who?\n"
    learned = example.ids[example.answer_start : -1]
    assert tokenizer.decode(learned) == "Answer: Answer me."
    assert encoder.text(learned) == "Answer me.", "once, or training would say it twice"
    assert encoder.text(encoder.answer("")) == ""
    assert [encoder.untagged(text, growing=True) for text in ("Ans", "Answer:", "Answers")] == [
        "",
        "",
        "Answers",
    ]
    assert encoder.untagged("Ans") == "Ans", "an answer that is over"
