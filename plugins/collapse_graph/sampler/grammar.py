"""What may be written next, so that what is drawn is a graph as the data has them."""

import torch

from collapse_graph.data.content import ORDERS
from collapse_graph.model.vocabulary import END, Vocabulary


class Grammar:
    """Which tokens may follow, row by row.

    An edge leads to an earlier node, nearest first, each node at most once. No node gets more edges, counted
    with their orders, than some node of its type has in the data: for molecules, that is their valence. Where
    the data are connected, a node that is not the first has an edge to an earlier one.
    """

    def __init__(self, vocabulary: Vocabulary, num_rows: int, device: torch.device) -> None:
        """Begin with nothing written."""
        meanings = vocabulary.meanings
        capacity = dict(zip(vocabulary.node_types, vocabulary.capacities, strict=True))
        self.gaps = torch.tensor([gap for _, gap in meanings], device=device)
        self.orders = torch.tensor(
            [ORDERS.get(kind, 1) if gap else 0 for kind, gap in meanings], device=device
        )
        self.capacities = torch.tensor(
            [0 if gap else capacity.get(k, 0) for k, gap in meanings], device=device
        )
        self.is_node = (self.gaps == 0) & (torch.arange(len(meanings), device=device) != END)
        self.max_nodes, self.connected = vocabulary.max_nodes, vocabulary.connected
        self.num_nodes = torch.zeros(num_rows, dtype=torch.long, device=device)
        self.last_gap = torch.zeros(num_rows, dtype=torch.long, device=device)
        self.free = torch.zeros((num_rows, vocabulary.max_nodes), dtype=torch.long, device=device)
        """What each node can still bear."""
        self.ended = torch.zeros(num_rows, dtype=torch.bool, device=device)

    def allowed(self) -> torch.Tensor:
        """For each row and token whether it may come next; after the end only the end."""
        begun = self.num_nodes > 0
        joined = (self.num_nodes <= 1) | (self.last_gap > 0) | (not self.connected)
        room = (self.num_nodes < self.max_nodes) & joined
        if self.connected:
            room &= ~begun | (self.free > 0).any(1)
        allowed = (room[:, None] & self.is_node) | self._bearable()
        allowed &= ~self.ended[:, None]
        allowed[:, END] = (begun & joined) | ~allowed.any(1)
        return allowed

    def _bearable(self) -> torch.Tensor:
        """Return which edges lead to a later choice among earlier nodes, and both of its nodes can bear."""
        later = (self.gaps > self.last_gap[:, None]) & (self.gaps < self.num_nodes[:, None])
        there = (self.num_nodes[:, None] - 1 - self.gaps).clamp(min=0)
        here = (self.num_nodes[:, None] - 1).clamp(min=0)
        return (
            later & (self.free.gather(1, there) >= self.orders) & (self.free.gather(1, here) >= self.orders)
        )

    def read(self, tokens: torch.Tensor) -> None:
        """Take note of one more token of each row."""
        node, gap = self.is_node[tokens], self.gaps[tokens]
        self.ended |= tokens == END
        self.num_nodes += node
        here = (self.num_nodes - 1).clamp(min=0)[:, None]
        spent = self.orders[tokens][:, None]
        self.free.scatter_add_(1, here, self.capacities[tokens][:, None] - spent)
        self.free.scatter_add_(1, (here - gap[:, None]).clamp(min=0), -spent)
        self.last_gap = torch.where(node, 0, gap)
