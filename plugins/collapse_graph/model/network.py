"""The generator: a recurrent network over the tokens of graphs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from collapse_core import CollapseError, files
from collapse_core.torch import TorchModel
from collapse_graph.model.vocabulary import END, Vocabulary


class GraphNetwork(nn.Module):
    """P(next token | tokens before it, condition), by a GRU.

    An untaught condition is the zero vector, which stands for no condition.
    """

    def __init__(self, num_tokens: int, num_conditions: int, width: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(num_tokens, width)
        self.conditions = nn.Embedding(num_conditions, width)
        self.recurrence = nn.GRU(2 * width, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, num_tokens)
        nn.init.zeros_(self.conditions.weight)

    def forward(
        self, tokens: torch.Tensor, condition: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits for the token after each, and the state to go on from.

        Args:
            tokens: Of shape (rows, length).
            condition: The embedded condition of each row, of shape (rows, width).
            state: Where to go on, of shape (layers, rows, hidden).
        """
        repeated = condition[:, None].expand(-1, tokens.shape[1], -1)
        out, state = self.recurrence(torch.cat([self.tokens(tokens), repeated], -1), state)
        return self.head(out), state


class GraphModel(TorchModel):
    """The network, with what its tokens and conditions mean."""

    def __init__(
        self,
        sizes: Mapping[str, int],
        vocabulary: Vocabulary,
        conditions: Sequence[str],
        device: torch.device,
    ) -> None:
        """Make a network of these sizes, with the random weights that torch's seed gives."""
        self.network = GraphNetwork(len(vocabulary), len(conditions), **sizes).to(device)
        super().__init__(self.network)
        self.sizes, self.vocabulary, self.conditions = dict(sizes), vocabulary, list(conditions)

    def embedded(self, conditions: Sequence[str]) -> torch.Tensor:
        """Return the vectors of conditions, of shape (rows, width).

        Raises:
            CollapseError: The model was not made for one of them.
        """
        unknown = sorted(set(conditions) - set(self.conditions))
        if unknown:
            raise CollapseError(
                f"the generator has no condition '{unknown[0]}'; it was made for {', '.join(self.conditions)}"
            )
        numbers = [self.conditions.index(condition) for condition in conditions]
        vectors: torch.Tensor = self.network.conditions(torch.tensor(numbers, device=self.device))
        return vectors

    def losses(self, sequences: Sequence[Sequence[int]], condition: torch.Tensor) -> torch.Tensor:
        """Return the negative log-likelihood of each token, of shape (tokens of all sequences,), in nats."""
        rows = [torch.tensor([END, *sequence]) for sequence in sequences]
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1).to(self.device)
        logits, _ = self.network(padded[:, :-1].clamp(min=0), condition)
        asked = padded[:, 1:] >= 0
        return nn.functional.cross_entropy(logits[asked], padded[:, 1:][asked], reduction="none")

    def export(self, directory: Path) -> None:
        """Write weights as model.safetensors and what they mean as config.json."""
        save_file(self.network.state_dict(), directory / "model.safetensors")
        vocabulary = asdict(self.vocabulary) | {"tokens": self.vocabulary.meanings}
        meaning: dict[str, Any] = {
            "conditions": self.conditions,
            "sizes": self.sizes,
            "vocabulary": vocabulary,
        }
        files.write_json(directory / "config.json", meaning)

    @classmethod
    def open(cls, directory: Path, device: torch.device) -> "GraphModel":
        """Return the model that `export` wrote.

        Raises:
            CollapseError: The directory holds no such model.
        """
        try:
            meaning = files.read_json(directory / "config.json")
            vocabulary = {key: value for key, value in meaning["vocabulary"].items() if key != "tokens"}
            model = cls(meaning["sizes"], Vocabulary(**vocabulary), meaning["conditions"], device)
            model.network.load_state_dict(load_file(directory / "model.safetensors"))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            raise CollapseError(
                f"{directory} holds no exported generator of graphs (config.json and model.safetensors); "
                "give the 'model' directory of a finished run"
            ) from None
        return model
