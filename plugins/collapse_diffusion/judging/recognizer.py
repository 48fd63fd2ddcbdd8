"""Training a classifier of images, and asking it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from collapse_core import CollapseError, Content, Dataset, derive_seed
from collapse_core.torch import backward, descend, falling_rate, seeded, taught
from collapse_diffusion.data.images import to_tensor
from collapse_diffusion.judging import Classifier

BATCH = 64
ASKED_AT_ONCE = 512


class Recognizer:
    """A trained classifier: how likely an image shows each class, and what it sees in it."""

    def __init__(self, network: nn.Sequential, classes: Sequence[Content]) -> None:
        """Take the network, whose last layer gives logits, and the classes in their order."""
        self.network = network.eval()
        self.classes = list(classes)

    def probabilities(self, contents: Sequence[Content]) -> torch.Tensor:
        """Of shape (images, classes)."""
        return self._ask(self.network, contents).softmax(-1)

    def features(self, contents: Sequence[Content]) -> torch.Tensor:
        """Return what the last hidden layer makes of images, of shape (images, features)."""
        return self._ask(self.network[:-1], contents)

    def column(self, name: Content) -> int:
        """Return the place of a class.

        Raises:
            CollapseError: It is none of those that the judge was trained on.
        """
        if name not in self.classes:
            raise CollapseError(
                f"the judge was trained on no image of the class {name!r}, so that it recognizes none; let "
                "it learn from more with 'judge: {rows: all}'"
            )
        return self.classes.index(name)

    def _ask(self, network: nn.Module, contents: Sequence[Content]) -> torch.Tensor:
        if not contents:
            return torch.zeros(0, len(self.classes))
        images = to_tensor(contents)
        with torch.inference_mode():
            return torch.cat([network(batch) for batch in images.split(ASKED_AT_ONCE)]).double()


def recognizer(settings: Classifier, data: Dataset, split: str = "full") -> Recognizer:
    """Return the classifier that the settings describe, trained on a split or read from the cache."""
    start, stride = {"all": (0, 1), "even": (0, 2), "odd": (1, 2)}[settings.rows]
    prompts = list(data.load(split))[start::stride]
    classes = sorted({prompt.content for prompt in prompts}, key=str)
    examples = [(prompt.content, prompt.target) for prompt in prompts]
    images = to_tensor([image for _, image in examples[:1]])

    def make(directory: Path) -> None:
        network = _network(settings, images.shape, len(classes))
        _train(
            network, to_tensor([i for _, i in examples]), [classes.index(c) for c, _ in examples], settings
        )
        save_file(network.state_dict(), directory / "weights.safetensors")

    directory = taught(
        make,
        {"examples": examples, "settings": settings.model_dump(mode="json")},
        code=Path(__file__).parent,
        device=torch.device("cpu"),
        seed=settings.seed,
    )
    network = _network(settings, images.shape, len(classes))
    network.load_state_dict(load_file(directory / "weights.safetensors"))
    return Recognizer(network, classes)


def _network(settings: Classifier, shape: Sequence[int], num_classes: int) -> nn.Sequential:
    _, channels, height, width = shape
    body: list[nn.Module]
    if settings.architecture == "dense":
        body = [nn.Flatten(), nn.Linear(channels * height * width, 256), nn.ReLU(), nn.Dropout(0.2)]
        body += [nn.Linear(256, 128), nn.ReLU()]
    else:
        height, width = -(-height // 4), -(-width // 4)
        body = [nn.Conv2d(channels, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()]
        body += [nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten()]
        body += [nn.Linear(64 * height * width, 64), nn.ReLU()]
    hidden = 128 if settings.architecture == "dense" else 64
    with seeded(derive_seed(settings.seed, "weights")):
        return nn.Sequential(*[_fresh(layer) for layer in body], nn.Linear(hidden, num_classes))


def _fresh(layer: Any) -> nn.Module:
    """Return the layer with weights of the seeded stream, whenever it was made."""
    if hasattr(layer, "reset_parameters"):
        layer.reset_parameters()
    return cast(nn.Module, layer)


def _train(network: nn.Sequential, images: Any, labels: Sequence[int], settings: Classifier) -> None:
    targets = torch.tensor(labels)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    rate = falling_rate(settings.learning_rate, 0.0, settings.steps)

    def accumulate(_: int) -> float:
        chosen = torch.randint(len(images), (BATCH,))
        return backward(nn.functional.cross_entropy(network(_shifted(images[chosen])), targets[chosen]))

    network.train()
    with seeded(derive_seed(settings.seed, "batches")):
        for _ in descend(optimizer, settings.steps, accumulate, rate, max_grad_norm=None):
            pass


def _shifted(images: torch.Tensor) -> torch.Tensor:
    """Return all images moved by one common shift of up to a pixel each way, the edge repeated."""
    down, right = torch.randint(3, (2,)).tolist()
    padded = nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    return padded[:, :, down : down + images.shape[2], right : right + images.shape[3]]
