"""Graphs on disk: TU data sets in raw files, and what torch-geometric saved, opened without running code."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapse_core import CollapseError, environment, errors

if TYPE_CHECKING:
    from torch_geometric.data import Data

ADVICE = (
    "give a folder with the raw files of a TU data set (NAME_A.txt), the root of an InMemoryDataset "
    "(processed/data.pt), or a .pt file of one Data or a list of them"
)


def tu_prefix(path: Path) -> Path | None:
    """Return what the names of a TU data set's raw files begin with; None where there are none."""
    if not path.is_dir():
        return None
    found = sorted([*path.glob("*_A.txt"), *path.glob("raw/*_A.txt")])
    return found[0].with_name(found[0].name.removesuffix("_A.txt")) if found else None


def files_of(path: Path) -> list[Path]:
    """Return the files that are read of a path.

    Raises:
        CollapseError: There are none.
    """
    if prefix := tu_prefix(path):
        return sorted(prefix.parent.glob(f"{prefix.name}_*.txt"))
    inside = [path, path / "processed" / "data.pt", path / "data.pt"]
    found = next((file for file in inside if file.is_file()), None)
    if found is None:
        raise CollapseError(f"{path}: holds no graphs; {ADVICE}")
    return [found]


def provenance_of(path: Path) -> Mapping[str, object]:
    """Return the digest of each file that is read; nothing where there is none."""
    return {file.name: environment.file_digest(file) for file in files_of(path)} if path.exists() else {}


def changed(path: Path) -> tuple[int, ...]:
    """Return when each file that is read was last changed."""
    return tuple(file.stat().st_mtime_ns for file in files_of(path))


def saved_graphs(path: Path) -> "list[Data]":
    """Return the graphs that torch-geometric saved.

    Raises:
        CollapseError: The file cannot be read, needs code to be run, or holds something else.
    """
    [file] = files_of(path)
    content = _opened(file)
    try:
        graphs = _graphs(content)
    except (TypeError, KeyError, ValueError, IndexError, AttributeError):
        graphs = []
    if not graphs:
        raise CollapseError(
            f"{file}: holds no graph of torch-geometric but a {type(content).__name__}; {ADVICE}"
        )
    return graphs


def _opened(file: Path) -> Any:
    """Read a file of torch, allowing the classes that a Data consists of and no others."""
    import torch
    from torch_geometric.data.data import Data, DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage

    parts = [Data, DataEdgeAttr, DataTensorAttr, GlobalStorage]
    try:
        with torch.serialization.safe_globals(parts):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CollapseError(
            f"{file}: cannot be opened without running what is in it, which is not done; save plain graphs, "
            "torch.save([data, ...]), or InMemoryDataset.save"
        ) from None
    except OSError as error:
        raise errors.unreadable(file, error) from None
    except (RuntimeError, EOFError) as error:
        raise CollapseError(f"{file}: is no file of torch.save ({str(error).splitlines()[0]})") from None


def _graphs(content: Any) -> "list[Data]":
    """Return the graphs in what was read: one, a list, or all in one with their slices."""
    from torch_geometric.data import Data
    from torch_geometric.data.separate import separate

    if isinstance(content, Data):
        return [content]
    if isinstance(content, (list, tuple)) and all(isinstance(one, Data) for one in content):
        return list(content)
    data, slices = content[0], content[1]
    merged = Data.from_dict(data) if isinstance(data, dict) else data
    if slices is None:
        return [merged]
    num = max(len(places) for places in slices.values()) - 1
    return [separate(Data, merged, i, slices, decrement=False) for i in range(num)]


def tu_graphs(prefix: Path) -> "list[tuple[Data, str | None]]":
    """Return the graphs of a TU data set with their labels (Morris et al., TUDataset, 2020).

    Labels of nodes and edges become the types `x` and `edge_attr`; real attributes of nodes and edges are
    `node_attributes` and `edge_attributes`.

    Raises:
        CollapseError: A file is missing, or does not fit the others.
    """
    import torch
    from torch_geometric.data import Data

    edges, owner = _rows(prefix, "A"), [int(row[0]) for row in _rows(prefix, "graph_indicator")]
    labels = [row[0] for row in _rows(prefix, "graph_labels")] if _has(prefix, "graph_labels") else []
    per_node = {"x": "node_labels", "node_attributes": "node_attributes"}
    per_edge = {"edge_attr": "edge_labels", "edge_attributes": "edge_attributes"}
    columns = {key: _rows(prefix, name) for key, name in (per_node | per_edge).items() if _has(prefix, name)}
    for key, rows in columns.items():
        if len(rows) != len(owner if key in per_node else edges):
            raise CollapseError(
                f"{prefix}_{(per_node | per_edge)[key]}.txt: has {len(rows)} lines, which do not fit"
            )
    nodes = _places(owner, max(owner))
    pairs = [(int(i) - 1, int(j) - 1) for i, j in edges]
    if pairs and not 0 <= min(map(min, pairs)) <= max(map(max, pairs)) < len(owner):
        raise CollapseError(
            f"{prefix}_A.txt: names a node that {prefix.name}_graph_indicator.txt does not have"
        )
    inside = _places([owner[i] for i, _ in pairs], max(owner))
    first = {node: place for some in nodes for place, node in enumerate(some)}
    found = []
    for number, (some, between) in enumerate(zip(nodes, inside, strict=True)):
        index = [(first[pairs[e][0]], first[pairs[e][1]]) for e in between]
        data = Data(edge_index=torch.tensor(index, dtype=torch.long).reshape(-1, 2).T, num_nodes=len(some))
        for key, rows in columns.items():
            chosen = [[float(cell) for cell in rows[i]] for i in (some if key in per_node else between)]
            data[key] = torch.tensor(chosen).reshape(len(chosen), -1 if chosen else 1)
        found.append((data, labels[number] if labels else None))
    return found


def _places(owner: list[int], num: int) -> list[list[int]]:
    """Return which places belong to each graph, numbered from 1."""
    found: list[list[int]] = [[] for _ in range(num)]
    for place, graph in enumerate(owner):
        found[graph - 1].append(place)
    return found


def _has(prefix: Path, name: str) -> bool:
    return prefix.with_name(f"{prefix.name}_{name}.txt").exists()


def _rows(prefix: Path, name: str) -> list[list[str]]:
    file = prefix.with_name(f"{prefix.name}_{name}.txt")
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeError) as error:
        raise CollapseError(f"{file}: {errors.cannot_be_read(error)}") from None
    rows = [[cell.strip() for cell in line.split(",")] for line in lines if line.strip()]
    for number, row in enumerate(rows, start=1):
        for cell in row:
            try:
                float(cell)
            except ValueError:
                raise errors.bad_row(file, number, f"'{cell}' is no number") from None
        if len(row) != len(rows[0]):
            raise errors.bad_row(file, number, f"expected {len(rows[0])} values, found {len(row)}")
    return rows
