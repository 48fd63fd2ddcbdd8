"""What a question becomes before the model reads it, whatever the tokenizer and its template."""

import pytest

from collapse_llm.model import PromptFormat

NO_SLOT = ["Question:\nAnswer:", "Q: %s", "{question}", "{} or {}", "{0}", "{{}}", "{} {name}", "{}}"]


@pytest.mark.parametrize("text", NO_SLOT)
@pytest.mark.parametrize("field", ["question", "answer"])
def test_a_format_that_would_drop_the_text_is_refused_with_the_recipe(field, text):
    with pytest.raises(ValueError, match=r"write \{\} once"):
        PromptFormat(**{field: text})
