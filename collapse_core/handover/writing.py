"""The card and the bill of materials that a run leaves next to its exported model."""

from pathlib import Path

from collapse_core.errors import CollapseError
from collapse_core.handover.bom import write_bom
from collapse_core.handover.card import write_card
from collapse_core.handover.facts import gather
from collapse_core.recipe.recipe import Recipe
from collapse_core.runtime import progress


def write_handover(directory: Path, recipe: Recipe) -> None:
    """Describe the model that a run has exported, if its domain hands models over.

    What goes wrong is reported and does not fail the run: its model is there, and `collapse card` tries
    again.
    """
    try:
        facts = gather(directory, recipe)
        if facts is not None:
            write_card(facts)
            write_bom(facts)
    except (CollapseError, OSError, ValueError) as error:
        progress.announce(f"the model has no card: {error}; try again with 'collapse card {directory}'")
