"""The classifier of nodes: two graph convolutions of torch-geometric over one graph."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch_geometric.nn import GCNConv

from collapse_core import files
from collapse_core.torch import TorchModel
from collapse_graph.data.digits import Network


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
    """The network, with the graph that it labels."""

    def __init__(self, hidden: int, dropout: float, graph: Network, device: torch.device) -> None:
        """Make a network for a graph, with the random weights that torch's seed gives."""
        sizes = {
            "num_features": len(graph.features[0]),
            "hidden": hidden,
            "num_labels": max(graph.labels) + 1,
        }
        self.network = NodeNetwork(**sizes, dropout=dropout).to(device)
        super().__init__(self.network)
        self.settings: dict[str, float] = {**sizes, "dropout": dropout}
        self.features = torch.tensor(graph.features, dtype=torch.float32, device=device)
        one_way = torch.tensor(graph.edges, dtype=torch.long, device=device).T
        self.edges = torch.cat([one_way, one_way.flip(0)], 1)

    def logits(self) -> torch.Tensor:
        """Logits of every node's label, of shape (nodes, labels)."""
        found: torch.Tensor = self.network(self.features, self.edges)
        return found

    @torch.inference_mode()
    def probabilities(self, nodes: Sequence[int], temperature: float = 1.0) -> torch.Tensor:
        """Return the probabilities of some nodes' labels, of shape (nodes, labels), in float64."""
        self.network.eval()
        return self.logits()[list(nodes)].double().div(temperature).softmax(-1)

    def mean_loss(self, nodes: Sequence[int], labels: Sequence[int]) -> torch.Tensor:
        """Return the mean cross-entropy of labels of some nodes, in nats."""
        if not nodes:
            return torch.zeros((), device=self.device)
        asked = self.logits()[list(nodes)]
        return nn.functional.cross_entropy(asked, torch.tensor(labels, device=self.device))

    def export(self, directory: Path) -> None:
        """Write weights as model.safetensors and the sizes of the layers as config.json."""
        save_file(self.network.state_dict(), directory / "model.safetensors")
        files.write_json(directory / "config.json", self.settings)

    def take(self, directory: Path) -> None:
        """Take the weights that `export` wrote."""
        self.network.load_state_dict(load_file(directory / "model.safetensors"))
