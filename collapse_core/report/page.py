"""Templates -> one self-contained HTML page: no script, nothing from elsewhere, everything escaped."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapse_core.results import formatting
from collapse_core.runtime import files
from collapse_core.runtime.cache import cache_root

if TYPE_CHECKING:
    from jinja2 import Environment

FILTERS = {
    "plain": formatting.plain,
    "number": formatting.format_number,
    "cell": formatting.format_cell,
    "distance": formatting.format_distance,
    "interval": formatting.format_interval,
    "quantity": formatting.format_count,
    "seconds": formatting.format_seconds,
}
"""What templates call to format what they show."""


def fill(template: str, **values: object) -> str:
    """A page made from one of the templates; a value that is missing is an error."""
    return environment().get_template(template).render(values)


@cache
def environment(
    package: str = "collapse_core.report", text: Callable[..., str] = formatting.plain
) -> "Environment":
    """The templates of a package, and those of the report.

    Args:
        package: Whose templates come first.
        text: What makes any text fit to be shown; templates call it `plain`.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from collapse_core.report.compiled import CompiledTemplates

    def fit_to_print(value: Any) -> Any:
        return text(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    packages = dict.fromkeys((package, "collapse_core.report"))
    jinja = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in packages]),
        bytecode_cache=CompiledTemplates(str(cache_root() / "templates")),
        autoescape=True,
        finalize=fit_to_print,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters.update(FILTERS | {"plain": text})
    return jinja


def write_page(page: str, to: Path) -> None:
    """Replace a file by a page; half characters, which a model may have written, become question marks."""
    files.write_text(to, page.encode(errors="replace").decode())
