"""A toy that is measured as language models are, slow or failing where a test wants it to be."""

from pathlib import Path

PLUGIN = '''\
import os
import sys
import time
from collections import Counter

from collapse_core import CollapseError, Entry, Evaluation, Evaluator, Metric, Reward, hookimpl, mean_metric

FORGOTTEN = ("Toronto", "Montreal", "Vancouver")


class Shares(Evaluator):
    """Unlearn quality and utility of the urn, with intervals over its cities."""

    half: float = 0.0
    """Half the width of the intervals."""

    def evaluate(self, model, data, seed):
        shares = model.probabilities
        gone = 100 * (1 - sum(shares[city] for city in FORGOTTEN))
        real = Counter(prompt.target for prompt in data.load("full"))
        known = {city: 100 * min(1, shares[city] * real.total() / real[city]) for city in real}
        kept = [share for city, share in known.items() if city not in FORGOTTEN]
        found = {
            "unlearn_quality": Metric(gone, "up", gone - self.half, gone + self.half),
            "utility": mean_metric([kept], seed, "up"),
        }
        return Evaluation(found)

    def read_logs(self, logs):
        words = [float(word) for log in logs for word in log.read_text().split()]
        return Evaluation({"mean_of_log": mean_metric([words], 0, "up")})


class Mood(Reward):
    """Rewards nothing; slow where the environment says so, and failing where the recipe does."""

    fails: bool = False
    """Whether to fail."""

    def score(self, prompt, completions, reference):
        if prompt.id.endswith("-0"):
            print("threads", os.environ.get("OMP_NUM_THREADS"), file=sys.stderr)
            time.sleep(float(os.environ.get("MOOD_SECONDS", 0)))
        if self.fails:
            raise CollapseError("the mood is bad; set rewards.0.fails=false")
        return [0.0] * len(completions)


@hookimpl
def collapse_components():
    yield Entry("evaluator", "shares", Shares)
    yield Entry("reward", "mood", Mood)
'''

RECIPE = """\
version: 1
name: measured
plugins: [./measured_plugin.py]
data: {use: cities, num_draws: 6}
model: {use: categorical}
sampler: {use: categorical-draws}
rewards: [{use: mood}]
filter: {use: best-of-n}
updater: {use: categorical-mle}
iterations: 12
completions_per_prompt: 1
evaluate: {every: 0, with: [{use: shares, half: 2}], baselines: {never trained on it: {use: categorical}}}
checkpoint: {every: 2, keep: 1}
"""


def measured_recipe(folder: Path, name: str = "measured.yaml") -> Path:
    (folder / "measured_plugin.py").write_text(PLUGIN)
    path = folder / name
    path.write_text(RECIPE)
    return path
