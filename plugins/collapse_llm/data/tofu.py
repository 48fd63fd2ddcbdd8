"""TOFU, the benchmark of the field."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from collapse_core import errors
from collapse_llm.data.question_files import QuestionFiles


class Tofu(QuestionFiles):
    """TOFU (Maini et al. 2024): 200 fictitious authors, 20 questions each.

    Read from a directory of its JSON-lines files, or from the hub (dataset locuslab/TOFU).
    """

    forget: Literal["forget01", "forget05", "forget10"] = "forget10"
    """Which split is forgotten; the matching retain and holdout splits go with it."""
    path: str | None = None
    """A directory that holds the files; without it they are fetched from the hub."""
    revision: str = "main"
    """The revision on the hub."""

    def source(self, split: str) -> Path:
        """Return the file in the directory, or fetched from the hub and cached there."""
        percent = int(self.forget.removeprefix("forget"))
        name = {
            "forget": self.forget,
            "forget_paraphrased": f"{self.forget}_perturbed",
            "forget_perturbed": f"{self.forget}_perturbed",
            "retain": f"retain{100 - percent}",
            "holdout": f"holdout{percent:02d}",
        }.get(split, split)
        if self.path is None:
            return _from_hub(name, self.revision)
        found = [Path(self.path) / f"{name}.{ending}" for ending in ("jsonl", "json")]
        return next((path for path in found if path.exists()), found[0])

    def splits(self) -> Sequence[str] | None:
        """The splits of the directory, unknown where there is none; the hub has all that TOFU has."""
        if self.path is None:
            return [split for split in self.SPLITS if split not in self.ENTAILED]
        return super().splits() if Path(self.path).is_dir() else None

    def provenance(self) -> Mapping[str, object]:
        """Return digests of local files; the revision of the hub's."""
        if self.path is not None:
            return super().provenance()
        return {"hub": "locuslab/TOFU", "revision": self.revision}


def _from_hub(name: str, revision: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise errors.missing_extra("huggingface_hub", "llm", "TOFU from the hub") from None
    try:
        path = hf_hub_download("locuslab/TOFU", f"{name}.json", repo_type="dataset", revision=revision)
    except Exception as error:
        raise errors.not_fetched("locuslab/TOFU", error, "data: {use: tofu, path: <directory>}") from None
    return Path(path)
