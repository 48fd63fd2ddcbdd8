"""Who may look: requests that name this machine as their host and bring the token, and no others."""

import hmac
import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr "
    "'unsafe-inline'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
NO_TOKEN = "This page needs a token: open the address that 'collapse view' has printed.\n"
NO_HOST = "This address is not one of this machine: open the address that 'collapse view' has printed.\n"


class Access:
    """Lets requests through, and adds the headers that every answer has."""

    def __init__(self, app: ASGIApp, token: str, names: Iterable[str] = ()) -> None:
        """Take the application, the token, and by which names this machine may be called.

        Numbers and "localhost" are always allowed: a page from elsewhere that makes its own name lead to
        this machine (DNS rebinding) still calls it by that name.
        """
        self.app = app
        self.token = token
        self.names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._refusal(Request(scope)) or self.app
        await answer(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """What is answered instead of a page; None where the page may be seen."""
        if not self._is_this_machine(request.headers.get("host", "")):
            return PlainTextResponse(NO_HOST, 421)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("Nothing can be changed here.\n", 405)
        cookie = self._cookie(request)
        if self._is_token(request.query_params.get("token")):
            rest = request.url.remove_query_params("token").query
            answer = RedirectResponse(f"/{request.url.path.lstrip('/')}{'?' if rest else ''}{rest}", 303)
            answer.set_cookie(cookie, self.token, path="/", httponly=True, samesite="lax")
            return answer
        if not self._is_token(request.cookies.get(cookie)):
            return PlainTextResponse(NO_TOKEN, 403)
        return None

    def _is_token(self, given: str | None) -> bool:
        return given is not None and hmac.compare_digest(given.encode(), self.token.encode())

    @staticmethod
    def _cookie(request: Request) -> str:
        """Its name; browsers tell cookies of different ports apart by nothing else."""
        return f"collapse-view-{request.url.port or 80}"

    def _is_this_machine(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in self.names:
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def names_of_this_machine() -> list[str]:
    """The names by which other machines may call this one."""
    return list(dict.fromkeys((socket.gethostname(), socket.getfqdn())))
