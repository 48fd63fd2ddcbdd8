"""Serving the pages from this process until it is stopped."""

import ipaddress
import secrets
import socket
from collections.abc import Callable

import uvicorn

from collapse_core import errors
from collapse_core.errors import CollapseError
from collapse_core.view.access import names_of_this_machine
from collapse_core.view.app import create_app
from collapse_core.view.shelf import Shelf

PORT = 8642
"""The port that is taken where it is free."""
EXPOSED = (
    "everyone who reaches this machine and has the address with its token can read these runs, and so can "
    "everyone who listens on the network between, since nothing is encrypted"
)


def serve(shelf: Shelf, host: str, port: int | None, tell: Callable[[str], None]) -> None:
    """Show the runs until the process is stopped; see `prepare`."""
    server, listening = prepare(shelf, host, port, tell)
    tell("stop with Ctrl-C")
    with listening:
        server.run(sockets=[listening])


def prepare(
    shelf: Shelf, host: str, port: int | None, tell: Callable[[str], None]
) -> tuple[uvicorn.Server, socket.socket]:
    """A server of the runs, and the socket that it is to serve.

    Args:
        shelf: The runs.
        host: The address to listen on.
        port: The port; by default 8642, or any that is free.
        tell: Is called with each line for the user: what `host` means, and the address.

    Raises:
        CollapseError: The address cannot be listened on.
    """
    listening = _listen(host, port)
    token = secrets.token_urlsafe(24)
    if not is_loopback(host):
        tell(f"warning: --host {host}: {EXPOSED}")
    tell(f"http://{_address(host)}:{listening.getsockname()[1]}/?token={token}")
    app = create_app(shelf, token, () if is_loopback(host) else (host, *names_of_this_machine()))
    config = uvicorn.Config(app, access_log=False, log_level="warning", server_header=False, lifespan="off")
    return uvicorn.Server(config), listening


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(host: str) -> str:
    """How to call the machine in an address; by its name where it listens on all of its addresses."""
    if host in ("0.0.0.0", "::", ""):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int | None) -> socket.socket:
    """A socket on the port; where none is named and the usual one is taken, on any that is free."""
    try:
        family = socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM)[0][0]
        for choice in (PORT, 0) if port is None else (port,):
            try:
                return socket.create_server((host, choice), family=family)
            except OSError as error:
                if port is not None or choice == 0:
                    raise error
    except OSError as error:
        where = f"{host}:{port}" if port is not None else host
        raise CollapseError(f"{where} cannot be listened on: {errors.system_error(error)}") from None
    raise AssertionError
