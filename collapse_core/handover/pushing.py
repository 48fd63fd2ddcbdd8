"""Sending an exported model and its card to the hub: what is on a list, and nothing else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from collapse_core.errors import CollapseError
from collapse_core.handover.card import PLACE, is_ours
from collapse_core.handover.facts import CARD, WRITTEN, Facts, missing_library

ALWAYS = (*WRITTEN, "LICENSE*", "NOTICE*", "USE_POLICY*")
"""What is sent with every model, where it is there."""
WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class Parcel:
    """What would be sent."""

    folder: Path
    sent: Sequence[str]
    """Files that are sent, relative to the folder."""
    left_out: Sequence[str]
    """Files of the folder that are not on the list."""


def parcel(facts: Facts) -> Parcel:
    """Return what would be sent of a run.

    Raises:
        CollapseError: There is no card, or no weights.
    """
    folder = facts.folder
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = [path.relative_to(folder).as_posix() for path in paths]
    allowed = (*facts.export.files, *ALWAYS)
    sent = [name for name in names if _is_allowed(folder, name, allowed)]
    if CARD not in sent or not is_ours(folder / CARD):
        raise CollapseError(
            f"{folder} has no card of this run, and nothing is sent without; write it first: "
            f"'collapse card {facts.results.directory}'"
        )
    if not any(name.endswith(WEIGHTS) for name in sent):
        raise CollapseError(f"{folder} holds no weights (*{WEIGHTS}) that could be sent")
    return Parcel(folder, sent, [name for name in names if name not in sent])


def _is_allowed(folder: Path, name: str, patterns: Sequence[str]) -> bool:
    """Whether a file is on the list: a real one within the folder, each part of whose path matches."""
    path = folder / name
    if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
        return False
    parts = name.split("/")
    return any(
        len(parts) == len(pieces) and all(map(fnmatchcase, parts, pieces))
        for pieces in (pattern.split("/") for pattern in patterns)
    )


def push(content: Parcel, repository: str, *, private: bool, message: str) -> str:
    """Send it in one commit, and return the commit's address.

    The token is the one that huggingface_hub finds, in its own file or in HF_TOKEN; it is written nowhere.

    Args:
        content: What to send.
        repository: The hub's id; made if it is not there.
        private: Whether it is to be private.
        message: The commit's message.

    Raises:
        CollapseError: The hub is not to be reached or refuses, or the repository is public and is not to be.
    """
    try:
        from huggingface_hub import CommitOperationAdd, HfApi, get_token
    except ModuleNotFoundError:
        raise missing_library("sending a model to the hub") from None
    if get_token() is None:
        raise CollapseError("there is no token of the hub; log in with 'hf auth login', or set HF_TOKEN")
    api = HfApi()
    with _refusals(repository):
        repository = api.create_repo(repository, private=private, exist_ok=True).repo_id
        if private and not api.model_info(repository).private:
            raise CollapseError(
                f"{repository} is there already, and is public; give --public to send the model there"
            )
        card = (content.folder / CARD).read_text(encoding="utf-8").replace(PLACE, repository)
        operations = [
            CommitOperationAdd(name, card.encode() if name == CARD else str(content.folder / name))
            for name in content.sent
        ]
        return str(api.create_commit(repository, operations, commit_message=message).commit_url)


@contextmanager
def _refusals(repository: str) -> Iterator[None]:
    """Say in a sentence what the hub, or the way to it, refuses while the block runs."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except CollapseError:
        raise
    except HFValidationError as error:
        raise CollapseError(f"'{repository}' is no name on the hub: {error}") from None
    except (HfHubHTTPError, OSError, RuntimeError) as error:
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise CollapseError(f"nothing was sent to '{repository}': {' '.join(why)}") from error
