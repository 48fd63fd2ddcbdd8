"""The columns of the benchmark by name."""

from benchmarks.columns import Column
from benchmarks.material import Material
from benchmarks.our_loop import OurLoop
from benchmarks.reference_loop import ReferenceLoop


def make_column(name: str, material: Material) -> Column:
    """The column of a name, over loaded material."""
    if name == "reference":
        return ReferenceLoop(material)
    if name == "trl":
        from benchmarks.trl_loop import TrlLoop

        return TrlLoop(material)
    return OurLoop(material)
