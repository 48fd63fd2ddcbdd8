"""MUSE, a benchmark of texts to be forgotten: news articles and books."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from annotated_types import Ge

from collapse_core import Prompt, PromptSet
from collapse_llm.conversations import CONTINUE
from collapse_llm.data.benchmarks import Benchmark, Part
from collapse_llm.data.openings import Openings


class Muse(Openings, Benchmark):
    """MUSE (Shi et al. 2024, arXiv 2407.06460): BBC news, or the Harry Potter books.

    What is to be forgotten are texts without questions. For unlearning on the model's own answers they are
    cut into passages, as in the data set `passages`: the model is asked to continue an opening, which is this
    project's way and not the benchmark's. Retained is `retain1`, as in the benchmark. The evaluator
    `muse-metrics` reads the other splits: knowledge (few-shot questions), verbatim openings, and texts for
    the membership attack.
    """

    corpus: Literal["news", "books"] = "news"
    """Which texts."""
    num_passages: Annotated[int, Ge(1)] | None = None
    """Only the first so many passages, of what is to be forgotten and of what is to be retained."""

    def parts(self) -> Mapping[str, Sequence[Part]]:
        """Return where the rows of each split are."""
        hub = f"muse-bench/MUSE-{self.corpus.title()}"

        def part(config: str, *splits: str) -> Sequence[Part]:
            return [Part(hub, config, split) for split in splits]

        return {
            "forget": part("raw", "forget"),
            "retain": part("raw", "retain1"),
            "holdout": part("raw", "holdout"),
            "knowmem_forget": part("knowmem", "forget_qa", "forget_qa_icl"),
            "knowmem_retain": part("knowmem", "retain_qa", "retain_qa_icl"),
            "verbmem_forget": part("verbmem", "forget"),
            "privleak_forget": part("privleak", "forget"),
            "privleak_holdout": part("privleak", "holdout"),
        }

    def load_with_answers(self, split: str) -> PromptSet:
        """Load a split with its true answers."""
        part, *shots = self.parts()[split]
        kind = split.partition("_")[0]
        if kind == "knowmem":
            return PromptSet(tuple(self._knowledge(split, part, shots[0])))
        if kind == "verbmem":
            lines = self.rows(part, "prompt", "gt")
            return PromptSet(
                tuple(
                    Prompt(f"{split}-{line.number}", {CONTINUE: line.row["prompt"]}, line.row["gt"])
                    for line in lines
                )
            )
        texts = [(line.number, line.row["text"]) for line in self.rows(part, "text")]
        if kind == "privleak":
            return PromptSet(
                tuple(Prompt(f"{split}-{number}", {CONTINUE: ""}, text) for number, text in texts)
            )
        found = self.cut_documents(split, [(f"{split} {number}", text) for number, text in texts])
        return PromptSet(tuple(found[: self.num_passages]))

    def _knowledge(self, split: str, part: Part, shots: Part) -> Sequence[Prompt]:
        """Questions after ten answered ones, in the benchmark's own form."""
        shown = "".join(
            f"Question: {line.row['question']}\nAnswer: {line.row['answer']}\n\n"
            for line in self.rows(shots, "question", "answer")
        )
        return [
            Prompt(
                f"{split}-{line.number}",
                {CONTINUE: f"{shown}Question: {line.row['question']}\nAnswer: "},
                line.row["answer"],
            )
            for line in self.rows(part, "question", "answer")
        ]
