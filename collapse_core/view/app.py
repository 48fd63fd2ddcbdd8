"""The pages as a web application; everything is read when it is asked for, and nothing is written."""

import math
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files as resources

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from collapse_core.errors import CollapseError
from collapse_core.view.access import Access
from collapse_core.view.completions import WAIT, Order, Query
from collapse_core.view.links import Links
from collapse_core.view.rendering import render, style, why
from collapse_core.view.shelf import Shelf
from collapse_core.view.texts import TextPages

KEPT = {"yes": True, "no": False}
ORDERS: dict[str, Order] = {"newest": "newest", "highest": "highest", "lowest": "lowest"}
ASKED = ("find", "iteration", "prompt", "low", "high", "kept", "order")
"""By what completions are filtered, in addresses."""


def create_app(shelf: Shelf, token: str, names: Iterable[str] = (), wait: float = WAIT) -> Starlette:
    """The application.

    Args:
        shelf: The runs to be shown.
        token: What each request must bring.
        names: By which names this machine may be called; see `Access`.
        wait: Seconds that a page waits for completions that are still being read.
    """
    pages = TextPages(shelf, Links())
    page = "/run/{key}"
    routes = {
        "/": lambda asked: pages.runs(),
        page: lambda asked: pages.run(asked.path_params["key"]),
        f"{page}/completions": lambda asked: _completions(pages, asked, wait),
        f"{page}/prompts": lambda asked: pages.prompts(
            asked.path_params["key"], _text(asked, "find"), _page(asked), wait
        ),
        f"{page}/prompt": lambda asked: pages.prompt(
            asked.path_params["key"], asked.query_params.get("id", ""), wait
        ),
        f"{page}/answers": lambda asked: pages.answers(
            asked.path_params["key"], _text(asked, "split"), _text(asked, "find"), _page(asked)
        ),
        "/compare": lambda asked: pages.compare(
            asked.query_params.getlist("run"), _text(asked, "forgetting"), _text(asked, "utility")
        ),
    }
    return Starlette(
        routes=[
            *(Route(path, _answering(make, pages)) for path, make in routes.items()),
            Route("/version", lambda asked: PlainTextResponse(_version(shelf, asked))),
            Route("/static/{name}", _static),
        ],
        middleware=[Middleware(Access, token=token, names=names)],
        exception_handlers={HTTPException: _not_there(pages)},
    )


def _answering(make: Callable[[Request], str], pages: TextPages) -> Callable[[Request], Response]:
    """What answers with a page; where it cannot be made, with a sentence that says why."""

    def answer(asked: Request) -> Response:
        try:
            return HTMLResponse(make(asked))
        except CollapseError as error:
            return _problem(pages, "This cannot be shown", str(error), 404)
        except Exception as error:  # a run may hold anything
            return _problem(pages, "This cannot be shown", why(error), 500)

    return answer


def _problem(pages: TextPages, title: str, problem: str, status: int) -> Response:
    shown = render("error.html", title=title, problem=problem, links=pages.links, version="", poll="")
    return HTMLResponse(shown, status)


def _not_there(pages: TextPages) -> Callable[[Request, Exception], Response]:
    def answer(asked: Request, error: Exception) -> Response:
        return _problem(pages, "No such page", "The list of runs leads to all that are there.", 404)

    return answer


def _version(shelf: Shelf, asked: Request) -> str:
    keys = asked.query_params.getlist("run")
    return shelf.version([entry for entry in shelf.entries() if not keys or entry.key in keys])


def _static(asked: Request) -> Response:
    """The style, which is the report's and what the view adds, and the script."""
    match asked.path_params["name"]:
        case "view.css":
            return Response(style(), media_type="text/css")
        case "view.js":
            script = resources("collapse_core.view") / "static" / "view.js"
            return Response(script.read_text(encoding="utf-8"), media_type="text/javascript")
    raise HTTPException(404)


def _completions(pages: TextPages, asked: Request, wait: float) -> str:
    given = {name: _text(asked, name) for name in ASKED} | {"prompt": asked.query_params.get("prompt", "")}
    return pages.completions(asked.path_params["key"], _query(given), given, _page(asked), wait)


def _query(given: Mapping[str, str]) -> Query:
    """What is asked for.

    Raises:
        CollapseError: A number is none.
    """
    iteration = _number(given["iteration"], "iteration")
    return Query(
        iteration=None if iteration is None else int(iteration) - 1,
        prompt=given["prompt"] or None,
        low=_number(given["low"], "reward"),
        high=_number(given["high"], "reward"),
        kept=KEPT.get(given["kept"]),
        find=given["find"],
        order=ORDERS.get(given["order"], "oldest"),
    )


def _number(text: str, name: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise CollapseError(f"the {name} '{text[:40]}' is no number; write one, or leave it empty")
    return number


def _text(asked: Request, name: str) -> str:
    return asked.query_params.get(name, "").strip()


def _page(asked: Request) -> int:
    text = _text(asked, "page")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1
