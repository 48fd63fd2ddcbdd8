from collapse_core import Entry, Reward, hookimpl


class Courtesy(Reward):
    """Prefer completions that decline courteously."""

    phrase: str = "I am sorry"
    """What counts as courteous."""

    def score(self, prompt, completions, reference):
        return [float(self.phrase in completion.content) for completion in completions]


@hookimpl
def collapse_components():
    yield Entry("reward", "courtesy", Courtesy)
