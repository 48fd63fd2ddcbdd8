"""Small files of the shape that benchmarks have on the hub, made of the authors' words."""

import json

import torch

from collapse_llm.data import Authors

PEOPLE = [(p.content, p.target) for p in Authors().load("full")]
WORDS = " ".join(answer for _, answer in PEOPLE).split()


def text(number, length=60):
    start = 37 * number % (len(WORDS) - length)
    return " ".join(WORDS[start : start + length])


def write(folder, config, split, rows):
    path = folder / config / f"{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)))


TYPES = ("affirmative suffix", "incontext learning", "role play")


def write_rwku(folder):
    """Probes of a person, texts, and tests of abilities."""
    for level in (1, 2, 3):
        probes = [
            {
                "query": question,
                "answer": answer,
                "level": str(level),
                "type": TYPES[n % 3] if level == 3 else "cloze",
                "subject": ("Stephen King", "Someone Else")[n == 0],
            }
            for n, (question, answer) in enumerate(PEOPLE[7 * level : 7 * level + 7])
        ]
        write(folder, f"forget_level{level}", "test", probes)
        if level < 3:
            write(folder, f"neighbor_level{level}", "test", [p | {"neighbor": "A Friend"} for p in probes])
    general = {"choices": ["a", "b", "c", "d"], "answer": 1, "examples": "", "subject": "Stephen King"}
    write(
        folder,
        "utility_general",
        "test",
        [general | {"task": "virology", "question": q} for q, _ in PEOPLE[:3]],
    )
    for split in ("mia_forget", "mia_retain"):
        names = ("Stephen King", "Someone Else", "Stephen King")
        rows = [{"text": text(n + len(split)), "ngram": 7, "subject": name} for n, name in enumerate(names)]
        write(folder, split, "test", rows)
    reasons = [
        {"task": "dates", "question": q, "answer": a, "cot": "Q: 1?\nA: So the answer is 1.\n"}
        for q, a in PEOPLE[:2]
    ]
    write(folder, "utility_reason", "test", reasons)
    targets = {"choices": ["No.", PEOPLE[0][1], "Yes."], "labels": [0, 1, 0]}
    truths = [{"question": q, "mc1_targets": targets, "mc2_targets": targets} for q, _ in PEOPLE[:3]]
    write(folder, "utility_truthfulness", "test", truths)
    facts = [{"question": q, "answers": [a, "the town"]} for q, a in PEOPLE[:3]]
    write(folder, "utility_factuality", "test", facts)
    write(folder, "utility_fluency", "test", [{"instruction": q} for q, _ in PEOPLE[:2]])
    return folder


def logits_after(model, ids):
    with torch.no_grad():
        return model.module(torch.tensor([ids])).logits[0].log_softmax(-1)
