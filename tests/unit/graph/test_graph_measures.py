"""Motifs, distances and identities, against independent computations."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from networkx.algorithms.isomorphism import GraphMatcher

from collapse_graph.data.content import graph, renumbered
from collapse_graph.data.conversion import to_networkx
from collapse_graph.data.descriptors import clustering_histogram, degree_histogram, spectrum_histogram
from collapse_graph.data.isomorphism import isomorphism_classes
from collapse_graph.data.motifs import MOTIFS, count_copies
from collapse_graph.evaluators.distances import mmd_squared
from collapse_graph.rewards.features import GraphShape


@pytest.mark.parametrize("motif", MOTIFS)
def test_copies_are_those_that_networkx_finds(motif, atlas_graphs):
    """Sets of edges that form the motif, from the monomorphisms of VF2."""
    pattern = nx.Graph(MOTIFS[motif])
    for source, content in atlas_graphs[::40]:
        maps = GraphMatcher(source, pattern).subgraph_monomorphisms_iter()
        copies = set()
        for found in maps:
            place = {to: at for at, to in found.items()}
            copies.add(frozenset(frozenset((place[i], place[j])) for i, j in MOTIFS[motif]))
        assert count_copies(content, motif) == len(copies)


def test_the_cliques_of_all_small_graphs_are_those_that_networkx_finds(atlas_graphs):
    for source, content in atlas_graphs:
        sizes = [len(clique) for clique in nx.enumerate_all_cliques(source)]
        assert count_copies(content, "triangle") == sizes.count(3)
        assert count_copies(content, "K4") == sizes.count(4)


def test_descriptors_are_those_that_networkx_computes(atlas_graphs):
    for source, content in atlas_graphs[::7]:
        shares = np.array(nx.degree_histogram(source)) / len(source)
        assert np.allclose(degree_histogram(content), shares)
        values = list(nx.clustering(source).values())
        assert np.allclose(
            clustering_histogram(content), np.histogram(values, bins=100, range=(0, 1))[0] / len(source)
        )
        laplacian = nx.normalized_laplacian_matrix(source).toarray()
        theirs = np.histogram(np.linalg.eigvalsh(laplacian), bins=200, range=(-1e-5, 2))[0] / len(source)
        ours = spectrum_histogram(content)
        assert np.abs(ours.cumsum() - theirs.cumsum()).sum() < 1.01, (
            "an eigenvalue on an edge of a bin at most"
        )


def test_the_squared_mmd_of_two_graphs_is_its_formula_by_hand(cliques):
    """Degrees: all 2 and all 3, so TV = 1 and k = exp(-1/2)."""
    assert mmd_squared([cliques(3)], [cliques(4)], "degree") == pytest.approx(2 - 2 * np.exp(-0.5))
    assert mmd_squared([cliques(3)], [cliques(3)], "degree") == 0


def test_the_squared_mmd_is_the_mean_over_all_pairs(atlas_graphs):
    some = [content for _, content in atlas_graphs[200:210]]
    others = [content for _, content in atlas_graphs[700:715]]

    def kernel(a, b):
        p, q = (nx.degree_histogram(to_networkx(x)) for x in (a, b))
        p, q = (np.pad(h, (0, 8 - len(h))) / sum(h) for h in (p, q))
        return np.exp(-((np.abs(p - q).sum() / 2) ** 2) / 2)

    means = [
        np.mean([kernel(a, b) for a in x for b in y])
        for x, y in ((some, some), (others, others), (some, others))
    ]
    assert mmd_squared(some, others, "degree") == pytest.approx(means[0] + means[1] - 2 * means[2])


def test_every_graph_of_the_atlas_is_another_one_however_its_nodes_are_numbered(atlas_graphs):
    contents = [content for _, content in atlas_graphs[-300:]]
    backwards = [renumbered(content, range(len(content["nodes"]))[::-1]) for content in contents]
    assert isomorphism_classes(contents + backwards) == [*range(300), *range(300)]


def test_two_graphs_that_hashes_confuse_are_told_apart():
    """The prism and K3,3 are 3-regular on six nodes: Weisfeiler and Lehman see no difference."""
    pair = [nx.circular_ladder_graph(3), nx.complete_bipartite_graph(3, 3)]
    assert len({nx.weisfeiler_lehman_graph_hash(one) for one in pair}) == 1
    contents = [graph(["*"] * 6, [(i, j, "-") for i, j in one.edges]) for one in pair]
    assert isomorphism_classes(contents) == [0, 1]


def test_types_make_another_graph():
    plain, other_node, other_edge = (
        graph(["C", kind], [(0, 1, bond)]) for kind, bond in (("C", "-"), ("N", "-"), ("C", "="))
    )
    assert isomorphism_classes([plain, other_node, other_edge, plain]) == [0, 1, 2, 0]


def test_features_do_not_depend_on_the_numbering_and_tell_dense_from_sparse(atlas, cliques):
    features = GraphShape()
    features.prepare(atlas)
    star = graph(["*"] * 5, [(0, i, "-") for i in range(1, 5)])
    same, other, dense = features.extract([star, renumbered(star, [4, 3, 2, 1, 0]), cliques(5)])
    assert np.allclose(same, other)
    near = graph(["*"] * 5, [(0, 1, "-"), (0, 2, "-"), (0, 3, "-"), (1, 4, "-")])
    [beside] = features.extract([near])
    assert np.linalg.norm(same - beside) < np.linalg.norm(same - dense)


def test_a_type_that_the_retain_data_lack_is_one_of_the_others(molecules):
    features = GraphShape()
    features.prepare(molecules)
    chlorine, bromine, oxygen = features.extract(
        [graph([kind, "C"], [(0, 1, "-")]) for kind in ("Cl", "Br", "O")]
    )
    assert np.array_equal(chlorine, bromine)
    assert not np.array_equal(chlorine, oxygen)


@pytest.mark.slow
def test_distances_and_valid_unique_novel_agree_with_polygraph(atlas, atlas_graphs):
    """The benchmark package computes the same numbers by other code."""
    reason = "polygraph-benchmark is not installed; it brings heavy packages of its own"
    mmd = pytest.importorskip("polygraph.metrics.gaussian_tv_mmd", reason=reason)
    from polygraph.metrics.vun import VUN

    contents = [content for _, content in atlas_graphs if len(content["nodes"]) > 3]
    some, others = contents[::3], contents[1::3]
    theirs = {
        "degree": mmd.GaussianTVDegreeMMD2, "clustering": mmd.GaussianTVClusteringMMD2,
        "spectrum": mmd.GaussianTVSpectralMMD2,
    }  # fmt: skip
    for name, measure in theirs.items():
        expected = measure([to_networkx(one) for one in others]).compute([to_networkx(one) for one in some])
        assert mmd_squared(some, others, name) == pytest.approx(float(expected), abs=2e-5), name
    drawn = [some[i] for i, _ in combinations(range(12), 2)] + others[:20]
    taught = some[3:]
    keys = atlas.identities([*taught, *drawn])
    known, found = set(keys[: len(taught)]), keys[len(taught) :]
    sound = [key for key, one in zip(found, drawn, strict=True) if atlas.is_valid(one)]
    counted = VUN([to_networkx(one) for one in taught], nx.is_connected).compute(
        [to_networkx(o) for o in drawn]
    )
    assert counted["valid"] == pytest.approx(len(sound) / len(drawn))
    assert counted["valid_unique"] == pytest.approx(len(set(sound)) / len(drawn))
    assert counted["valid_unique_novel"] == pytest.approx(len(set(sound) - known) / len(drawn))
