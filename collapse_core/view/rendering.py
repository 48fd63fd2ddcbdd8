"""Templates -> HTML in which every character is seen; what cannot be shown becomes a sentence."""

import re
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from importlib.resources import files as resources
from typing import TYPE_CHECKING

from collapse_core import errors
from collapse_core.errors import CollapseError
from collapse_core.report.page import environment
from collapse_core.results.formatting import visible

if TYPE_CHECKING:
    from markupsafe import Markup

DRAWING = threading.Lock()
"""Held while matplotlib draws: its settings are those of the whole process."""


def render(template: str, **values: object) -> "Markup":
    """A page, or a part of one, made from a template; a value that is missing is an error."""
    from markupsafe import Markup

    jinja = environment("collapse_core.view", visible)
    jinja.filters.update(marked=marked)
    return Markup(jinja.get_template(template).render(values))  # the template has escaped what it was given


def attempt(what: str, make: "Callable[[], Markup]") -> "Markup":
    """What `make` gives; where it fails, a sentence that says what cannot be shown, and why."""
    try:
        return make()
    except Exception as error:  # a run may hold anything, and is looked at nevertheless
        return render("problem.html", problem=f"{what} cannot be shown: {why(error)}")


def why(error: Exception) -> str:
    """Why something cannot be shown, as a part of a sentence."""
    if isinstance(error, CollapseError):
        return str(error)
    if isinstance(error, OSError):
        return errors.system_error(error)
    if "--debug" in sys.argv:
        traceback.print_exception(error)
    return f"a file of the run is not what a run writes ({type(error).__name__}: {str(error)[:200]})"


def marked(text: str, words: Sequence[str]) -> "Markup":
    """A text with the words that were searched for marked, in upper or lower case."""
    from markupsafe import Markup

    parts = [visible(text)]
    if words:
        parts = re.split(f"({'|'.join(map(re.escape, words))})", parts[0], flags=re.IGNORECASE)
    shown = [
        Markup("<mark>{}</mark>" if place % 2 else "{}").format(part) for place, part in enumerate(parts)
    ]
    return Markup("").join(shown)


def style() -> str:
    """The style sheet of all pages."""
    report = resources("collapse_core.report") / "templates" / "style.css"
    own = resources("collapse_core.view") / "static" / "view.css"
    return report.read_text(encoding="utf-8") + own.read_text(encoding="utf-8")
