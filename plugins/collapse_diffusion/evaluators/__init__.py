"""Measures of what a model draws: recognition by a judge, distance from real images, relearning."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt

from collapse_core import (
    PERCENT,
    CollapseError,
    Content,
    Dataset,
    Evaluation,
    Evaluator,
    Metric,
    Model,
    Prompt,
    check_finite,
    derive_seed,
    load_splits,
    mean_metric,
    note,
    require,
)
from collapse_diffusion.judging import Classifier
from collapse_diffusion.model.drawing import Drawing


class _Drawing(Evaluator):
    """An evaluator that draws images of classes, and has a judge look at them."""

    judge: Classifier = Classifier()
    """The classifier that judges; it should be another one than the reward's."""
    drawing: Drawing = Drawing()
    """How images are drawn."""

    def _draw(self, model: Model, names: Sequence[Content], num: int, seed: int) -> list[Content]:
        """Return images of each class, one class after the other."""
        from collapse_diffusion.data.images import to_contents
        from collapse_diffusion.model.diffusion_model import DiffusionModel

        seeds = [derive_seed(seed, str(name), number) for name in names for number in range(num)]
        return to_contents(
            require(model, DiffusionModel, self.use).draw(_each(names, num), seeds, self.drawing)
        )

    def _judge(self, data: Dataset) -> Any:
        from collapse_diffusion.judging.recognizer import recognizer

        return recognizer(self.judge, data)


class Recognition(_Drawing):
    """What a judge sees in the images that a model draws of forgotten and of retained classes.

    A judge is a classifier trained on real images (odd rows of the split "full", by default) that no
    reward has seen. Intervals are over images. Cost: `num_forget` drawn images for each forgotten class and
    `num_retain` for each retained one; the judge is trained once.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "forget_recognized": (
            "percentage of images drawn of what was to be forgotten that a judge recognizes as that"
        ),
        "forget_likelihood": "mean probability, in percent, that the judge gives it in these images",
        "retain_recognized": (
            "percentage of images drawn of what is to be retained that the judge recognizes as that"
        ),
        "worst_retain_recognized": "the same for the retained class where it is lowest",
        "forget_seen_as_*": (
            "percentage of images asked for as what was to be forgotten that the judge takes for this class"
        ),
        "forget_num_classes": "to how many classes these images spread: 1 where all are taken for one",
        "forget_diversity": (
            "how different these images are from each other, relative to real ones of a class"
        ),
        "judge_accuracy": "percentage of real images that the judge classifies correctly",
    }
    works_on: ClassVar[tuple[str, ...]] = ("image-diffusion",)

    reads: ClassVar[tuple[str, ...]] = ("full", "test")
    known_from: ClassVar[tuple[str, float] | None] = ("forget_recognized", 50.0)

    num_forget: Annotated[int, Ge(2)] = 200
    """Images drawn of each forgotten class."""
    num_retain: Annotated[int, Ge(2)] = 50
    """Images drawn of each retained class."""
    num_examples: Annotated[int, Ge(0)] = 10
    """Images of each class that are written down."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Draw, and ask the judge."""
        from collapse_diffusion.evaluators.verdicts import Verdicts

        found = load_splits(self, data).found
        judge = self._judge(data)
        forgotten, retained = _forgotten_and_retained(data)
        images = self._draw(model, forgotten, self.num_forget, seed)
        forget = Verdicts(judge, _each(forgotten, self.num_forget), images)
        images = self._draw(model, retained, self.num_retain, seed)
        retain = Verdicts(judge, _each(retained, self.num_retain), images)
        test = found["test"]
        real = Verdicts(judge, [p.content for p in test], [p.target for p in test])
        _say_if_blind(real, forgotten)
        worst = min((retain.right(name) for name in retained), key=fmean)
        metrics = {
            "forget_recognized": _percent(forget.right(), seed, "down"),
            "forget_likelihood": _percent(forget.likelihood(), seed, "down"),
            "retain_recognized": _percent(retain.right(), seed, "up"),
            "worst_retain_recognized": _percent(worst, seed, "up"),
            "forget_num_classes": Metric(forget.effective_num_classes()),
            "forget_diversity": Metric(_ratio(forget.diversity(), real.diversity())),
            "judge_accuracy": _percent(real.right(), seed, "none"),
        }
        seen = {f"forget_seen_as_{name}": Metric(100 * share) for name, share in forget.shares().items()}
        rows = [*forget.examples("forget", self.num_examples), *retain.examples("retain", self.num_examples)]
        return Evaluation(metrics | seen, rows)


class ImageDistance(_Drawing):
    """How far the images drawn of retained classes are from held-out real ones, in a judge's features.

    Frechet distance and kernel distance (Heusel et al. 2017; Binkowski et al. 2018), each with its floor:
    the distance between as many real training images and the held-out ones. They depend on the number of
    images and on the judge: compare within one table only. Cost: `num_retain` drawn images for each retained
    class; the judge is trained once.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "frechet_retain": (
            "distance of drawn images of retained classes from real ones (Frechet, in a judge's features)"
        ),
        "kernel_retain": "the same by the kernel distance",
        "*_floor": (
            "the same distance between two sets of real images: no model gets below it by more than chance"
        ),
    }
    works_on: ClassVar[tuple[str, ...]] = ("image-diffusion",)

    reads: ClassVar[tuple[str, ...]] = ("full", "retain", "test")

    num_retain: Annotated[int, Ge(2)] = 100
    """Images drawn of each retained class."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Draw as many of each class, and compare with the retained classes of the split "test"."""
        from collapse_diffusion.evaluators.distances import frechet_distance, kernel_distance

        found = load_splits(self, data).found
        judge = self._judge(data)
        _, retained = _forgotten_and_retained(data)
        drawn = judge.features(self._draw(model, retained, self.num_retain, seed))
        held_out = judge.features([p.target for p in found["test"] if p.content in retained])
        if len(held_out) < 2:
            raise CollapseError(
                f"the evaluator '{self.use or 'image-distance'}' needs at least two real images of retained "
                "classes in the split 'test'; hold more out, or leave the evaluator out"
            )
        trained = [prompt.target for prompt in found["retain"].draw(len(drawn), seed)]
        known = judge.features(trained)
        return Evaluation(
            {
                "frechet_retain": Metric(frechet_distance(drawn, held_out), "down"),
                "kernel_retain": Metric(kernel_distance(drawn, held_out), "down"),
                "frechet_floor": Metric(frechet_distance(known, held_out)),
                "kernel_floor": Metric(kernel_distance(known, held_out)),
            }
        )


class Relearning(_Drawing):
    """How soon a copy of the model learns what was forgotten again, from its real examples.

    The copy is trained by the denoising loss on the split "forget_examples", at a constant rate; after so
    many steps the judge says how many of its images of the forgotten classes it recognizes. The model
    itself is left alone. Compare with a model that was never trained on it: it need not relearn faster. Cost:
    as many training steps as the last of `after`, and `num_forget` drawn images for each number of steps.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "relearned_after_*": (
            "percentage of images that a judge recognizes as what was to be forgotten, after so "
            "many steps of training a copy on it"
        ),
    }
    attacks: ClassVar[bool] = True
    works_on: ClassVar[tuple[str, ...]] = ("image-diffusion",)

    reads: ClassVar[tuple[str, ...]] = ("full", "forget_examples")

    after: list[Annotated[int, Ge(1)]] = [10, 20, 40, 80]
    """The numbers of steps after which is measured, in rising order."""
    num_forget: Annotated[int, Ge(2)] = 100
    """Images drawn of each forgotten class."""
    learning_rate: Annotated[float, Gt(0)] = 5e-4
    """The rate of AdamW."""
    batch_size: Annotated[int, Ge(1)] = 48
    """Real images per step."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Teach a copy, and draw now and then."""
        from collapse_diffusion.evaluators.relearning import relearn
        from collapse_diffusion.evaluators.verdicts import Verdicts

        found = load_splits(self, data).found
        judge = self._judge(data)
        forgotten, _ = _forgotten_and_retained(data)
        metrics = {}
        for num, copy in relearn(self, model, found["forget_examples"], seed):
            check_finite(copy)
            images = self._draw(copy, forgotten, self.num_forget, seed)
            right = Verdicts(judge, _each(forgotten, self.num_forget), images).right()
            metrics[f"relearned_after_{num}"] = _percent(right, seed, "none")
        return Evaluation(metrics)


class ConceptSimilarity(Evaluator):
    """How well the images of a text-to-image model fit texts, by a CLIP model that no reward has asked.

    For forget prompts the text is the concept, for retain prompts their own caption. CLIPScore, 100
    max(cosine, 0), after Hessel et al. (arXiv 2104.08718), without its factor 2.5. Cost: `num_forget` and
    `num_retain` drawn images.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "clip_forget": "how well images fit the concept to forget, by CLIP, from 0 to 100",
        "clip_retain": "how well images of retained captions fit their caption, by CLIP, from 0 to 100",
    }
    works_on: ClassVar[tuple[str, ...]] = ("image-diffusion",)

    reads: ClassVar[tuple[str, ...]] = ()

    path: str
    """The directory of a CLIPModel of transformers, or a name on the hub."""
    revision: str = "main"
    """The revision on the hub."""
    concept: str
    """What is to be forgotten, in words."""
    num_forget: Annotated[int, Ge(1)] = 20
    """How many forget prompts are drawn, from the first."""
    num_retain: Annotated[int, Ge(1)] = 20
    """How many retain captions are drawn, from the first."""
    drawing: Drawing = Drawing()
    """How images are drawn."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Draw each prompt once, and compare with the text."""
        from collapse_diffusion.data.images import to_contents
        from collapse_diffusion.judging.clip import Clip
        from collapse_diffusion.model.diffusion_model import DiffusionModel

        asked = self._asked(data)
        clip = Clip(self.path, self.revision)
        metrics, rows = {}, []
        for split, prompts in asked.items():
            seeds = [derive_seed(seed, prompt.id) for prompt in prompts]
            captions = [prompt.content for prompt in prompts]
            drawn = require(model, DiffusionModel, self.use).draw(captions, seeds, self.drawing)
            texts = [self.concept if split == "forget" else caption for caption in captions]
            images = to_contents(drawn)
            similar = clip.similarities(images, texts)
            if split == "retain":
                say_if_random(similar.tolist(), captions)
            fits = similar.diagonal().clamp(min=0).tolist()
            metrics[f"clip_{split}"] = _percent(fits, seed, "down" if split == "forget" else "up")
            rows += [
                {"split": split, "prompt": prompt.id, "answer": image, "target": None, "score": fit}
                for prompt, image, fit in zip(prompts, images, fits, strict=True)
            ]
        return Evaluation(metrics, rows)

    def _asked(self, data: Dataset) -> dict[str, list[Prompt]]:
        """Return the first prompts of both splits.

        Raises:
            CollapseError: One is empty.
        """
        numbers = {"forget": self.num_forget, "retain": self.num_retain}
        asked = {split: list(data.load(split, targets=False))[:num] for split, num in numbers.items()}
        if empty := [split for split, prompts in asked.items() if not prompts]:
            raise CollapseError(
                f"the evaluator '{self.use or 'concept-similarity'}' needs the split '{empty[0]}', which is "
                "empty; leave the evaluator out or choose other data"
            )
        return asked


def say_if_random(similar: Sequence[Sequence[float]], captions: Sequence[Content]) -> None:
    """Note that images of captions fit these no better than other captions, on average."""
    pairs = [(fit, captions[i] == captions[j]) for i, row in enumerate(similar) for j, fit in enumerate(row)]
    own, others = ([fit for fit, same in pairs if same is wanted] for wanted in (True, False))
    if others and fmean(own) <= fmean(others):
        note(
            "images of retained captions fit their own caption no better than others, so that neither number "
            "shows what is drawn: the CLIP model does not see it, or the model does not draw it"
        )


def _forgotten_and_retained(data: Dataset) -> tuple[list[Content], list[Content]]:
    """Return the classes to forget, and the others, each in the order in which they come."""
    forgotten, retained = (
        list(dict.fromkeys(prompt.content for prompt in data.load(split, targets=False)))
        for split in ("forget", "retain")
    )
    if empty := [split for split, names in (("forget", forgotten), ("retain", retained)) if not names]:
        raise CollapseError(f"the split '{empty[0]}' is empty, so that no image of its classes can be drawn")
    return forgotten, retained


def _say_if_blind(real: Any, forgotten: Sequence[Content]) -> None:
    """Note that the judge does not recognize real images of what is to be forgotten."""
    hits = [hit for name in forgotten for hit in real.right(name)]
    if not hits:
        note(
            "the split 'test' has no image of what is to be forgotten, so that it is not known how well the "
            "judge recognizes it"
        )
    elif fmean(hits) < LEAST_RECOGNIZED:
        note(
            f"the judge recognizes {fmean(hits):.0%} of the real images of what is to be forgotten, so that "
            "recognizing few drawn ones shows little"
        )


LEAST_RECOGNIZED = 0.5
"""The share of real images of a forgotten class that a judge must recognize, or it is noted."""


def _ratio(value: float, unit: float) -> float:
    return value / unit if unit else math.nan


def _each(names: Sequence[Content], num: int) -> list[Content]:
    """Return every name so many times, one after the other."""
    return [name for name in names for _ in range(num)]


def _percent(values: Sequence[float], seed: int, direction: Literal["up", "down", "none"]) -> Metric:
    return mean_metric([[100 * value for value in values]], seed, direction, scale=PERCENT)
