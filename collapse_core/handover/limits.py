"""What the numbers of a run do not show, in sentences that hold for every run."""

from collapse_core.handover.facts import Facts

ALWAYS = (
    "The metrics describe the questions that were asked, in the wordings that were asked. They are no proof "
    "that the content is gone from the weights.",
    "Unlearning by outputs changes what the model says. Nothing here shows that the model equals one that "
    "was never trained on the content.",
    "Further training, another precision, other languages and attacks that are not listed can bring content "
    "back.",
)
ADAPTER = (
    "This is an adapter. The weights that it is added to still hold what was forgotten, and are one line of "
    "code away."
)


def limits(facts: Facts) -> list[str]:
    """Return what was not shown, a sentence each."""
    found = list(ALWAYS)
    if facts.export.holds_base:
        found.insert(0, ADAPTER)
    if facts.not_measured:
        found.append(f"Not measured, though it could have been: {', '.join(facts.not_measured)}.")
    if not facts.measured:
        found.append("Nothing was measured after unlearning.")
    if not facts.compared:
        found.append("No other model was measured, so the numbers stand alone.")
    return found


def true_answers(facts: Facts) -> str:
    """Return whether the run read the true answers that are to be forgotten."""
    read = facts.results.environment.get("true_answers", {})
    loop = str(read.get("loop", "")) or "not recorded"
    taught = ", ".join(read.get("model", []))
    first = f" The start model was trained first on these splits of the data: {taught}." if taught else ""
    return f"True answers to the forget prompts in the loop: {loop}.{first}"
