"""Chat templates of the shapes that families publish: their marks, what they refuse, how they end a turn."""

from typing import NamedTuple


class Chat(NamedTuple):
    """A family's template, and the special token with which it ends an assistant's turn."""

    template: str
    end: str
    marks: tuple[str, ...]
    system: str | None = "Be brief."


def _chatml(answer: str = "{{ m.content }}", opening: str = "") -> str:
    return (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        f"{{% if m.role == 'assistant' %}}{answer}{{% else %}}{{{{ m.content }}}}{{% endif %}}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n" + opening + "{% endif %}"
    )


NO_THOUGHT = "<think>\n\n</think>\n\n"
QWEN2 = Chat(
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    + _chatml(),
    "<|im_end|>",
    ("<|im_start|>", "<|im_end|>"),
)
QWEN3 = Chat(
    _chatml(
        NO_THOUGHT + "{{ m.content }}",
        "{% if enable_thinking is defined and not enable_thinking %}" + NO_THOUGHT + "{% endif %}",
    ),
    "<|im_end|>",
    ("<|im_start|>", "<|im_end|>"),
)
LLAMA3 = Chat(
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    "<|eot_id|>",
    ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
)
_GEMMA_TURNS = (
    "{% for m in turns %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ first if loop.first else '' }}{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
GEMMA2 = Chat(
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% set turns = messages %}{% set first = '' %}" + _GEMMA_TURNS,
    "<end_of_turn>",
    ("<start_of_turn>", "<end_of_turn>"),
)
GEMMA3 = Chat(
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content + '\n\n' %}"
    "{% set turns = messages[1:] %}{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}"
    + _GEMMA_TURNS,
    "<end_of_turn>",
    ("<start_of_turn>", "<end_of_turn>"),
)
PHI3 = Chat(
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}",
    "<|end|>",
    ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
)
MISTRAL = Chat(
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'assistant' %}{{ m.content }}{{ eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
    "",
    ("[INST]", "[/INST]"),
)
LFM2 = Chat("{{ bos_token }}" + _chatml(), "<|im_end|>", ("<|im_start|>", "<|im_end|>"))

CHATS = {
    "Llama": LLAMA3, "Qwen2": QWEN2, "Qwen3": QWEN3, "Qwen3Moe": QWEN3, "Gemma2": GEMMA2,
    "Gemma3Text": GEMMA3, "Phi3": PHI3, "Mistral": MISTRAL, "Mixtral": MISTRAL, "Lfm2": LFM2,
}  # fmt: skip
"""Those not here are base models without a template."""
