"""What the hub's library makes of the card of a run's model."""

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

WHERE = "path-or-repository"


def card_of(run: Path, folder: Path, collapse_here: Callable[..., Any]) -> tuple[ModelCard, dict[str, Any]]:
    """The card that `collapse card` writes for a copy of the run, and what its code defines when run."""
    copy = Path(shutil.copytree(run, folder / "carded"))
    done = collapse_here("card", copy)
    assert done.code == 0, done.err
    card = ModelCard.load(copy / "model" / "README.md")
    code = card.text.partition("```python\n")[2].partition("```")[0]
    assert WHERE in code
    program = folder / "load.py"
    program.write_text(code.replace(WHERE, str(copy / "model")))
    assert {"machine-unlearning", "collapse"} <= set(card.data.tags)
    assert {result.metric_name for result in card.data.eval_results}, "what was measured stands in the card"
    return card, runpy.run_path(str(program))
