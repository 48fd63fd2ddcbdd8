"""The ten categories of the paper's figures."""

from collapse_core import CollapseError, Dataset, Prompt, PromptSet

COUNTS = {
    "Toronto": 5,
    "Montreal": 10,
    "Vancouver": 20,
    "Ottawa": 15,
    "Calgary": 10,
    "Edmonton": 10,
    "Winnipeg": 5,
    "Quebec": 10,
    "Hamilton": 10,
    "Kitchener": 5,
}
"""How often each category occurs among 100 (authors' ICLR 2026 slides 4-8)."""


class Cities(Dataset):
    """Balls of ten colors, or cities: a prompt is one draw, the answer a city.

    Splits: "forget", the draws to be made; "retain", one ball for each count of a city that is kept;
    "full", all balls.
    """

    counts: dict[str, int] = COUNTS
    """How many balls there are of each city."""
    forget: list[str] = ["Toronto", "Montreal", "Vancouver"]
    """The cities whose balls are not put back."""
    num_draws: int = 100
    """How many balls are drawn in an iteration."""

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; the draws of "forget" have no true answer."""
        if split == "forget":
            return PromptSet(tuple(Prompt(f"draw-{i}", "draw") for i in range(self.num_draws)))
        if split not in ("retain", "full"):
            raise CollapseError(f"the data set 'cities' has no split '{split}'; known: forget, retain, full")
        balls = [
            Prompt(f"{city}-{i}", "draw", city if targets else None)
            for city, count in self.counts.items()
            for i in range(count)
            if split == "full" or city not in self.forget
        ]
        return PromptSet(tuple(balls))
