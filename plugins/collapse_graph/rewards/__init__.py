"""Exact rewards: without a motif, connected, another label."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import field_validator

from collapse_core import Completion, Prompt, Reward
from collapse_graph.data.content import is_connected
from collapse_graph.data.motifs import MOTIFS, count_copies


class WithoutMotif(Reward):
    """Minus the number of copies of a motif that a graph holds; zero is the most.

    Exact, so it knows what is to be forgotten; it reads no data.
    """

    works_on: ClassVar[tuple[str, ...]] = ("graphs", "molecules")

    maximum: ClassVar[float] = 0.0

    motif: str = "K4"
    """The motif: triangle, K4, K5, C4, C5 or claw."""

    @field_validator("motif")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in MOTIFS:
            raise ValueError(f"no motif is called '{value}'; known: {', '.join(MOTIFS)}")
        return value

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Count the copies in each graph."""
        return [float(-count_copies(completion.content, self.motif)) for completion in completions]


class Connected(Reward):
    """Zero for a connected graph, else minus one.

    With a weight above anything that the other rewards can add, validity comes first.
    """

    works_on: ClassVar[tuple[str, ...]] = ("graphs", "molecules")

    maximum: ClassVar[float] = 0.0

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Follow the edges of each graph."""
        return [float(is_connected(completion.content)) - 1.0 for completion in completions]


class OtherLabel(Reward):
    """One for a label that is not the reference model's, else zero."""

    works_on: ClassVar[tuple[str, ...]] = ("node-labels",)

    maximum: ClassVar[float] = 1.0

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Compare each label with the reference answer."""
        own = reference.content if reference else None
        return [float(completion.content != own) for completion in completions]


class WithoutSubstructure(Reward):
    """Minus the number of times that a molecule holds a substructure; zero is the most.

    Exact, so it knows what is to be forgotten; it reads no data. It abstains from what is no molecule, which
    `valid-molecule` is for.
    """

    works_on: ClassVar[tuple[str, ...]] = ("molecules",)

    maximum: ClassVar[float] = 0.0

    smarts: str = "[Cl]"
    """The substructure, as SMARTS."""

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float | None]:
        """Match the substructure in each molecule."""
        from collapse_graph.data.chemistry import num_matches, to_molecule

        molecules = [to_molecule(completion.content) for completion in completions]
        return [None if one is None else float(-num_matches(one, self.smarts)) for one in molecules]


class ValidMolecule(Reward):
    """Zero for a graph that RDKit takes for one molecule, else minus one.

    With a weight above anything that the other rewards can add, validity comes first.
    """

    works_on: ClassVar[tuple[str, ...]] = ("molecules",)

    maximum: ClassVar[float] = 0.0

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Sanitize each molecule."""
        from collapse_graph.data.chemistry import to_molecule

        return [float(to_molecule(completion.content) is not None) - 1.0 for completion in completions]
