"""Where a text lies by its meaning."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from collapse_core import Content, Features


class SentenceEmbedding(Features):
    """Where a sentence embedder places a text: its tokens' last hidden states, pooled and scaled to length 1.

    Sentence-BERT (Reimers and Gurevych, arXiv 1908.10084, section 3). It has learned before and elsewhere;
    it learns nothing from the data.
    """

    works_on: ClassVar[tuple[str, ...]] = ("questions",)

    path: str = "all-minilm-l6-v2"
    """A directory, a hub id, or "all-minilm-l6-v2" (comes as a package)."""
    revision: str = "main"
    """The revision on the hub."""
    pooling: Literal["mean", "first"] = "mean"
    """The mean over all tokens, or the first token's place, as the embedder's makers say."""
    max_length: Annotated[int, Ge(2)] = 256
    """Tokens of a text beyond these are not read."""
    batch_size: Annotated[int, Ge(1)] = 64
    """How many texts are read at once."""
    device: str = "auto"
    """A torch device, or "auto" for what accelerate finds."""

    def extract(self, contents: Sequence[Content]) -> Any:
        """Return an array of shape (texts, width), each row of length 1."""
        from collapse_llm.rewards.embedder import open_embedder

        embedder = open_embedder(self.path, self.revision, self.device)
        return embedder.embed(contents, self.pooling, self.max_length, self.batch_size)
