"""Another idea of politeness, a talkative one, and two parts that do not import."""

from collapse_core import Entry, Reward, hookimpl

print("thank you for importing me")


class OtherPoliteness(Reward):
    """Prefer short completions."""

    def score(self, prompt, completions, reference):
        return [-float(len(completion.content)) for completion in completions]


@hookimpl
def collapse_components():
    yield Entry("reward", "politeness", OtherPoliteness)
    yield Entry("reward", "bow", "collapse_manners:Bow")
    yield Entry("filter", "only-polite", "collapse_manners_filters:OnlyPolite")
