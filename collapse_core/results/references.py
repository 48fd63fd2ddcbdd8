"""What the model answered before unlearning, read back from the checkpoints of a run."""

from pathlib import Path
from typing import Any

from collapse_core.run.checkpoints import checkpoints
from collapse_core.runtime import files


def reference_answers(directory: Path) -> dict[str, Any]:
    """By prompt id, what the model answered before unlearning; empty where no checkpoint is left."""
    for checkpoint in reversed(checkpoints(directory)):
        try:
            references = files.read_json(checkpoint / "state.json")["references"]
            return {str(prompt): answer["content"] for prompt, answer in references.items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue
    return {}
