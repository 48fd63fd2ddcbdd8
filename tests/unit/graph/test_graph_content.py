"""Graphs as JSON, as networkx and torch-geometric know them, and as tokens."""

from itertools import pairwise

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from collapse_graph.data.content import graph, is_connected, neighbors, renumbered
from collapse_graph.data.conversion import from_data, from_networkx, to_data, to_networkx
from collapse_graph.data.isomorphism import isomorphism_classes
from collapse_graph.model.vocabulary import END, Vocabulary, breadth_first
from collapse_graph.sampler.grammar import Grammar

NODES, EDGES = ("C", "N", "O"), ("-", "=")
FREELY = [99, 99, 99]
"""Capacities that no graph here reaches."""


@st.composite
def graphs(draw):
    """Any typed graph of up to eight nodes, connected or not."""
    nodes = draw(st.lists(st.sampled_from(NODES), min_size=1, max_size=8))
    pairs = [(i, j) for j in range(len(nodes)) for i in range(j)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return graph(nodes, [(i, j, draw(st.sampled_from(EDGES))) for i, j in chosen])


def test_edges_may_be_named_in_any_order_and_direction():
    assert graph(["*"] * 3, [(0, 2, "-"), (1, 0, "-")]) == graph(["*"] * 3, [(0, 1, "-"), (2, 0, "-")])


@given(graphs())
def test_a_graph_survives_both_libraries(content):
    assert from_networkx(to_networkx(content)) == content
    assert from_data(to_data(content, NODES, EDGES), NODES, EDGES) == content


@given(graphs())
def test_torch_geometric_reads_the_graph_that_networkx_reads(content):
    from torch_geometric.utils import to_networkx as theirs

    seen = theirs(to_data(content, NODES, EDGES), to_undirected=True)
    assert sorted(seen.nodes) == list(range(len(content["nodes"])))
    assert {frozenset(pair) for pair in seen.edges} == {frozenset(edge[:2]) for edge in content["edges"]}


def test_a_graph_of_torch_geometric_without_types_gets_plain_ones():
    from torch_geometric.data import Data

    path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
    assert from_data(path, NODES, EDGES) == graph(["*"] * 3, [(0, 1, "-"), (1, 2, "-")])


@given(graphs())
def test_connected_is_what_networkx_calls_connected(content):
    assert is_connected(content) == nx.is_connected(to_networkx(content))


def test_the_graph_without_nodes_is_not_connected():
    assert not is_connected(graph([], []))


@given(graphs(), st.integers(0, 10**6))
def test_a_breadth_first_order_visits_every_node_once_and_keeps_the_graph(content, seed):
    order = breadth_first(content, seed)
    assert sorted(order) == list(range(len(content["nodes"])))
    again = renumbered(content, order)
    assert isomorphism_classes([content, again]) == [0, 0]
    found_from = [min(beside & set(range(i)), default=0) for i, beside in enumerate(neighbors(again))]
    assert all(b >= a for a, b in pairwise(found_from) if is_connected(content))


@given(graphs(), st.integers(0, 10**6))
def test_what_is_written_in_the_given_order_reads_back_as_it_was(content, seed):
    words = Vocabulary(NODES, EDGES, 8, 40, FREELY, order="given")
    tokens = words.encode(content, seed)
    assert words.decode(tokens) == content
    assert len(tokens) == len(content["nodes"]) + len(content["edges"]) + 1


@given(graphs(), st.integers(0, 10**6))
def test_what_is_written_breadth_first_reads_back_as_the_same_graph(content, seed):
    words = Vocabulary(NODES, EDGES, 8, 40, FREELY)
    assert isomorphism_classes([content, words.decode(words.encode(content, seed))]) == [0, 0]


@settings(deadline=None)
@given(graphs(), st.integers(0, 10**6))
def test_the_grammar_allows_every_graph_that_can_be_written(content, seed):
    words = Vocabulary(NODES, EDGES, 8, 40, FREELY)
    grammar = Grammar(words, 1, torch.device("cpu"))
    for token in words.encode(content, seed):
        assert grammar.allowed()[0, token]
        grammar.read(torch.tensor([token]))
    assert grammar.allowed()[0].nonzero().tolist() == [[END]], "after the end only the end"


def test_the_grammar_forbids_what_is_no_graph():
    words = Vocabulary(("*",), ("-",), 3, 10, [2])
    grammar = Grammar(words, 1, torch.device("cpu"))
    node, near, far = 1, 2, 3
    assert words.meanings == [("", 0), ("*", 0), ("-", 1), ("-", 2)]
    allowed = []
    for token in (node, node, near, node, far, END):
        allowed.append(grammar.allowed()[0].nonzero()[:, 0].tolist())
        grammar.read(torch.tensor([token]))
    assert allowed == [
        [node],  # a graph has a node
        [END, node],  # the first node has nobody to be joined to
        [END, node, near],
        [END, node],  # no edge twice
        [END, near, far],  # three nodes are the most
        [END],
    ]


def followed(words, *tokens):
    """What may come after these tokens, as meanings."""
    grammar = Grammar(words, 1, torch.device("cpu"))
    for token in tokens:
        grammar.read(torch.tensor([token]))
    return [words.meanings[token] for token in grammar.allowed()[0].nonzero()[:, 0].tolist()]


def test_no_node_bears_more_than_its_type_does_in_the_data():
    """Ethene and fluoromethane: a carbon bears a double bond at most, a fluorine a single one."""
    data = [graph(["C", "C"], [(0, 1, "=")]), graph(["C", "F"], [(0, 1, "-")])]
    words = Vocabulary.of(data, "given")
    assert (words.node_types, words.capacities, words.connected) == (["C", "F"], [2, 1], True)
    carbon, fluorine, single, double = 1, 2, 3, 4
    assert followed(words) == [("C", 0), ("F", 0)]
    assert followed(words, carbon) == [("", 0), ("C", 0), ("F", 0)]
    assert followed(words, carbon, fluorine) == [("-", 1)], "it must be joined, and not by a double bond"
    assert followed(words, carbon, carbon, double) == [("", 0)], "two nodes are the most"
    assert followed(words, fluorine, fluorine, single) == [("", 0)]


def test_the_untaught_network_too_draws_connected_graphs_within_capacities():
    from collapse_graph.data.content import loads
    from collapse_graph.model.network import GraphModel
    from collapse_graph.sampler.drawing import draw

    words = Vocabulary(["C", "F", "N"], ["-", "="], 12, 40, [4, 1, 3], True)
    model = GraphModel({"width": 4, "hidden": 4, "layers": 1}, words, ["any"], torch.device("cpu"))
    limits = dict(zip(words.node_types, words.capacities, strict=True))
    for drawn in draw(model, ["any"] * 200, list(range(200))):
        complete = len(drawn["nodes"]) + len(drawn["edges"]) < 40
        assert is_connected(drawn) or not complete
        assert all(load <= limits[kind] for kind, load in zip(drawn["nodes"], loads(drawn), strict=True))


def test_a_vocabulary_knows_what_it_cannot_write():
    words = Vocabulary.of([graph(["C", "N"], [(0, 1, "-")])], "given")
    assert words.can_write(graph(["N"], []))
    assert not words.can_write(graph(["O"], []))
    assert not words.can_write(graph(["C", "N"], [(0, 1, "=")]))
    assert not words.can_write(graph(["C"] * 3, []))
    with pytest.raises(KeyError):
        words.encode(graph(["O"], []), 0)
