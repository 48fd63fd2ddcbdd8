"""Where the nodes of a graph are put when it is drawn."""

from functools import partial

from collapse_core import Sketch
from collapse_graph.data.content import NODE, ORDERS, Graph
from collapse_graph.data.conversion import to_networkx

MOST_NODES = 100
"""How many nodes a graph may have; the drawing of a larger one says nothing."""
RAISED = str.maketrans("+-", "\N{SUPERSCRIPT PLUS SIGN}\N{SUPERSCRIPT MINUS}")


def sketch(content: Graph) -> Sketch | None:
    """Return a graph by the method of Kamada and Kawai: nodes are as far apart as paths are long."""
    import networkx as nx

    made = to_networkx(content)
    if not 0 < len(made) <= MOST_NODES:
        return None
    lay_out = nx.kamada_kawai_layout if nx.is_connected(made) else partial(nx.spring_layout, seed=0)
    places = lay_out(made)
    return _sketch(content, [tuple(places[node]) for node in made])


def formula(content: Graph) -> Sketch | None:
    """Return a molecule in RDKit's coordinates, its carbon unnamed; what is none, as any other graph."""
    from collapse_graph.data.chemistry import to_molecule

    if not 0 < len(content["nodes"]) <= MOST_NODES:
        return None
    molecule = to_molecule(content)
    if molecule is None:
        return sketch(content)
    from rdkit.Chem import rdDepictor

    rdDepictor.Compute2DCoords(molecule)
    places = molecule.GetConformer().GetPositions()[:, :2]
    return _sketch(content, [tuple(place) for place in places])


def _sketch(content: Graph, places: list[tuple[float, float]]) -> Sketch:
    names = ["" if kind in (NODE, "C") else kind.translate(RAISED) for kind in content["nodes"]]
    return Sketch(
        points=[(float(x), float(y), name) for (x, y), name in zip(places, names, strict=True)],
        lines=[(i, j, ORDERS.get(kind, 1)) for i, j, kind in content["edges"]],
    )
