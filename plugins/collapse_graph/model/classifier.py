"""The classifier of nodes: graph convolutions of torch-geometric, or a module of a user, over one graph."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch_geometric.nn import GCNConv

from collapse_core import CollapseError, errors, files
from collapse_core.torch import TorchModel
from collapse_graph.data.nodes import Network


class NodeNetwork(nn.Module):
    """Logits of every node's label, by two graph convolutions."""

    def __init__(self, num_features: int, hidden: int, num_labels: int, dropout: float) -> None:
        super().__init__()
        self.first = GCNConv(num_features, hidden)
        self.second = GCNConv(hidden, num_labels)
        self.dropout = dropout

    def forward(self, features: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """Logits of shape (nodes, labels) for features (nodes, features) and edges (2, directed edges)."""
        dropped = nn.functional.dropout(features, self.dropout, self.training)
        hidden = self.first(dropped, edges).relu()
        logits: torch.Tensor = self.second(nn.functional.dropout(hidden, self.dropout, self.training), edges)
        return logits


class NodeModel(TorchModel):
    """A network, with the graph that it labels."""

    def __init__(
        self, network: nn.Module, settings: Mapping[str, Any], graph: Network, device: torch.device
    ) -> None:
        """Take a module that is called with features and edges, what makes it, and a graph.

        Raises:
            CollapseError: The module does not go with the graph.
        """
        self.network = network.to(device)
        super().__init__(self.network)
        self.settings = dict(settings)
        self.features = torch.as_tensor(graph.features, dtype=torch.float32, device=device)
        self.edges = edge_index(graph).to(device)
        self._check(max(checked_labels(graph)) + 1)

    def _check(self, num_labels: int) -> None:
        """Refuse a module that does not give each node a logit for each label."""
        self.network.eval()
        try:
            with torch.inference_mode():
                found = tuple(self.logits().shape)
        except (RuntimeError, TypeError, ValueError) as error:
            raise CollapseError(
                f"the network cannot be called with features of shape {tuple(self.features.shape)} and edges "
                f"of shape {tuple(self.edges.shape)}: {str(error).splitlines()[0]}"
            ) from None
        if len(found) != 2 or found[0] != len(self.features) or found[1] < num_labels:
            raise CollapseError(
                f"the network returns the shape {found}, but the graph needs logits of {len(self.features)} "
                f"nodes and at least {num_labels} labels"
            )

    def logits(self) -> torch.Tensor:
        """Logits of every node's label, of shape (nodes, labels)."""
        found: torch.Tensor = self.network(self.features, self.edges)
        return found

    @torch.inference_mode()
    def probabilities(self, nodes: Sequence[int], temperature: float = 1.0) -> torch.Tensor:
        """Return the probabilities of some nodes' labels, of shape (nodes, labels), in float64."""
        self.network.eval()
        found = self.logits()[list(nodes)].double().div(temperature).softmax(-1)
        if not found.isfinite().all():
            raise errors.outputs_not_finite("probabilities of labels")
        return found

    def mean_loss(self, nodes: Sequence[int], labels: Sequence[int]) -> torch.Tensor:
        """Return the mean cross-entropy of labels of some nodes, in nats."""
        if not nodes:
            return torch.zeros((), device=self.device)
        asked = self.logits()[list(nodes)]
        return nn.functional.cross_entropy(asked, torch.tensor(labels, device=self.device))

    def losses(self, nodes: Sequence[int], labels: Sequence[int]) -> torch.Tensor:
        """Return the cross-entropy of labels of some nodes, of shape (nodes,), in nats."""
        asked, wanted = self.logits()[list(nodes)], torch.tensor(labels, device=self.device)
        return nn.functional.cross_entropy(asked, wanted, reduction="none")

    def export(self, directory: Path) -> None:
        """Write weights as model.safetensors and what makes the network as config.json."""
        state = self.network.state_dict()
        save_file({name: t.detach().clone().contiguous() for name, t in state.items()}, directory / WEIGHTS)
        files.write_json(directory / "config.json", self.settings)

    def take(self, file: Path) -> None:
        """Take the weights of a file of safetensors.

        Raises:
            CollapseError: They are not those of the network.
        """
        try:
            self.network.load_state_dict(load_file(file))
        except (OSError, ValueError, RuntimeError) as error:
            why = " ".join(str(error).split())
            raise CollapseError(f"{file}: holds no weights of the network: {why[:200]}") from None


WEIGHTS = "model.safetensors"


def edge_index(graph: Network) -> torch.Tensor:
    """Return the edges of a graph, shape (2, directed edges): an undirected one once in each direction."""
    if graph.directed:
        return torch.tensor(graph.edges, dtype=torch.long).reshape(-1, 2).T.contiguous()
    pairs = dict.fromkeys((max(pair), min(pair)) for pair in graph.edges)
    one_way = torch.tensor(list(pairs), dtype=torch.long).reshape(-1, 2).T
    apart = one_way[:, one_way[0] != one_way[1]]
    loops = one_way[:, one_way[0] == one_way[1]]
    return torch.cat([apart, apart.flip(0), loops], 1)


def checked_labels(graph: Network) -> Sequence[int]:
    """Return the labels of a graph.

    Raises:
        CollapseError: One is no whole number from 0, nor -1, or all are -1.
    """
    for node, label in enumerate(graph.labels):
        if not isinstance(label, int) or isinstance(label, bool) or label < -1:
            raise CollapseError(
                f"the label of node {node} is {label!r}; a classifier needs whole numbers from 0, and -1 for "
                "a node without a label: number the labels"
            )
    if max(graph.labels, default=-1) < 0:
        raise CollapseError("no node of the graph has a label, so that there is nothing to classify")
    return graph.labels
