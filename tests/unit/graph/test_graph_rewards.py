"""The exact rewards on plain graphs."""

import pytest
from pydantic import ValidationError

from collapse_core.testing import check_reward, score
from collapse_graph.data.content import graph
from collapse_graph.rewards import Connected, WithoutMotif


def test_every_copy_counts(cliques):
    contents = [cliques(3), cliques(4), cliques(5), cliques(7)]
    assert score(WithoutMotif(motif="K4"), contents) == [0, -1, -5, -35]
    assert score(WithoutMotif(motif="triangle"), contents) == [-1, -4, -10, -35]
    check_reward(WithoutMotif(), contents)


def test_a_graph_in_pieces_is_not_connected(cliques):
    assert score(Connected(), [cliques(4), graph(["*"] * 2, []), graph([], [])]) == [0, -1, -1]


def test_an_unknown_motif_is_refused_by_name():
    with pytest.raises(ValidationError, match="no motif is called 'K9'; known: triangle, K4"):
        WithoutMotif(motif="K9")
