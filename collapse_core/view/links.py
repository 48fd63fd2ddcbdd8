"""Where each page is: at an address of the server. A static folder has links of its own."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode


class Links:
    """The addresses of the server's pages; empty for a page that is not there."""

    style = "/static/view.css"
    script = "/static/view.js"

    def runs(self) -> str:
        """The list of runs."""
        return "/"

    def run(self, key: str) -> str:
        """What a run measured, and how it went."""
        return f"/run/{key}"

    def completions(self, key: str, asked: Mapping[str, object] | None = None) -> str:
        """The completions of a run, filtered by what is asked for."""
        return _with_query(f"/run/{key}/completions", asked or {})

    def prompts(self, key: str) -> str:
        """The prompts of a run."""
        return f"/run/{key}/prompts"

    def prompt(self, key: str, prompt: str) -> str:
        """What was sampled for a prompt in all iterations."""
        return _with_query(f"/run/{key}/prompt", {"id": prompt})

    def answers(self, key: str, asked: Mapping[str, object] | None = None) -> str:
        """What the models answered when they were measured, side by side."""
        return _with_query(f"/run/{key}/answers", asked or {})

    def compare(self, keys: Sequence[str] = ()) -> str:
        """Runs side by side."""
        return _with_query("/compare", {"run": list(keys)})

    def version(self, keys: Sequence[str]) -> str:
        """A text that changes when what is shown of these runs does; of all runs where there are no keys."""
        return _with_query("/version", {"run": list(keys)})


def _with_query(path: str, asked: Mapping[str, object]) -> str:
    given = {key: value for key, value in asked.items() if value not in (None, "", [])}
    query = urlencode(given, doseq=True)
    return f"{path}?{query}" if query else path
