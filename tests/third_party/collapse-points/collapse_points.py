# collapse_points.py
"""A sixth domain: points in the plane, drawn by a network that is told which shape."""

import random
from math import cos, dist, pi, sin

import collapse_core as core

SHAPES = ("upper moon", "lower moon", "ring")


def curve(shape: str, turn: float) -> list[float]:
    """A point of a shape's curve, for a turn from 0 to 1."""
    if shape == "ring":
        return [0.5 + 2 * cos(2 * pi * turn), 0.25 + 2 * sin(2 * pi * turn)]
    upper = [cos(pi * turn), sin(pi * turn)]
    return upper if shape == "upper moon" else [1 - upper[0], 0.5 - upper[1]]


class Shapes(core.Dataset):
    """Noisy points of three shapes; a prompt asks for one point of a shape."""

    forget: str = "ring"
    """The shape to forget."""
    num_draws: int = 64
    """How many points of it are drawn in an iteration."""

    def load(self, split, *, targets=True):
        """The draws to be made; or real points, of the shapes to retain or of all."""
        if split == "forget":
            draws = [core.Prompt(f"{self.forget}/{i}", self.forget) for i in range(self.num_draws)]
            return core.PromptSet(tuple(draws))
        if split not in ("retain", "full"):
            raise core.CollapseError(f"'shapes' has no split '{split}'; known: forget, retain, full")
        shapes = [shape for shape in SHAPES if split == "full" or shape != self.forget]
        real = [
            core.Prompt(f"{s}/{i}", s, point(s, i) if targets else None) for s in shapes for i in range(300)
        ]
        return core.PromptSet(tuple(real))

    def picture(self, content):
        """A report draws all points of an iteration together."""
        return core.Place(*content)


def point(shape: str, number: int) -> list[float]:
    """A real point."""
    source = random.Random(core.derive_seed(0, shape, number))
    return [x + source.gauss(0, 0.06) for x in curve(shape, source.random())]


class FlowLoader(core.ModelLoader):
    """A flow from noise to points, taught on real ones."""

    reads = ("full", "retain")
    split: str = "full"
    """What it is taught on; "retain" gives the model that never saw the forgotten shape."""
    steps: int = 2000
    """How many steps of Adam it is taught for."""

    def load(self, data, seed):
        """Teach it; seconds on a CPU."""
        from collapse_points_flow import Flow

        flow, real = Flow(SHAPES, seed), [(p.content, p.target) for p in data.load(self.split)]
        for now in core.Iteration.remaining(0, self.steps, seed):
            flow.learn([(1.0, real)], 3e-3 * (1 - now.number / now.total), now, now.seed)
        return flow


class DrawPoints(core.Sampler):
    """Carry noise along the flow, each point from noise of its own."""

    def sample(self, model, prompts, num_completions, iteration, bound=None):
        """All points of an iteration in one batch."""
        numbers = range(num_completions)
        ids = [(prompt, number) for prompt in prompts for number in numbers]
        seeds = [core.derive_seed(iteration.seed, prompt.id, number) for prompt, number in ids]
        drawn = iter(model.draw([prompt.content for prompt, _ in ids], seeds))
        return [
            core.Group(p, tuple(core.Completion(next(drawn), n, iteration.number) for n in numbers))
            for p in prompts
        ]


class FitFlow(core.Updater):
    """Train the flow on the points that were kept, and on real points of the other shapes."""

    learning_rate: float = 1e-3
    """The rate of Adam."""
    retain_weight: float = 1.0
    """How much the loss on real points counts beside the loss on kept ones."""

    def update(self, model, kept, retain, iteration):
        """Fifty steps, each on noise of its own."""
        own = [(one.prompt.content, one.completion.content) for one in kept]
        real = [(prompt.content, prompt.target) for prompt in retain]
        parts = [(w, examples) for w, examples in ((1.0, own), (self.retain_weight, real)) if examples]
        seeds = [core.derive_seed(iteration.seed, "step", n) for n in range(50)] if parts else []
        losses = [model.learn(parts, self.learning_rate, iteration, seed) for seed in seeds]
        return {"loss": sum(losses) / len(losses)} if losses else {}


class Recognition(core.Evaluator):
    """Which shape's curve the drawn points are nearest to: geometry, which no reward has seen."""

    def evaluate(self, model, data, seed):
        """Draw 200 points of each shape, and compare them with 200 points of each curve."""
        right, off, rows = {}, {}, []
        for shape in SHAPES:
            drawn = model.draw([shape] * 200, [core.derive_seed(seed, shape, n) for n in range(200)])
            away = [{s: min(dist(x, curve(s, k / 200)) for k in range(200)) for s in SHAPES} for x in drawn]
            right[shape] = [float(min(one, key=one.get) == shape) for one in away]
            off[shape] = [one[shape] for one in away]
            split = "forget" if shape == data.forget else "retain"
            rows += [{"split": split, "prompt": shape, "answer": x} for x in drawn]
        kept = [shape for shape in SHAPES if shape != data.forget]
        metrics = {
            "forgotten_shape": core.mean_metric([right[data.forget]], seed, "down"),
            "retained_shapes": core.mean_metric([right[shape] for shape in kept], seed, "up"),
            "retained_off_curve": core.mean_metric([off[shape] for shape in kept], seed, "down"),
        }
        return core.Evaluation(metrics, rows)


@core.hookimpl
def collapse_components():
    """A whole domain; its reward and its filter are the core's."""
    yield core.Entry("dataset", "shapes", Shapes)
    yield core.Entry("model", "flow", FlowLoader)
    yield core.Entry("sampler", "draw-points", DrawPoints)
    yield core.Entry("updater", "fit-flow", FitFlow)
    yield core.Entry("evaluator", "shape-recognition", Recognition)
