"""Templates -> one self-contained HTML page: no script, nothing from elsewhere, everything escaped."""

from pathlib import Path

from collapse_core.runtime import files


def fill(template: str, **values: object) -> str:
    """A page made from one of the templates; a value that is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    jinja = Environment(
        loader=PackageLoader("collapse_core.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return jinja.get_template(template).render(values)


def write_page(page: str, to: Path) -> None:
    """Replace a file by a page; half characters, which a model may have said, become question marks."""
    files.write_text(to, page.encode(errors="replace").decode())
