"""A report in a browser: from its file, or from a server for this machine alone. Its text belongs to `report`."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from edgepack.console import Console
from edgepack.errors import InputError

HOST = "127.0.0.1"
TYPES = {".html": "text/html; charset=utf-8", ".md": "text/plain; charset=utf-8"}
NAMES = ("127.0.0.1", "localhost")  # of this machine, as a browser may write them


def make_server(paths: Sequence[Path], port: int = 0) -> ThreadingHTTPServer:
    """A server of these files alone, the page at `/` too; port 0 takes a free one. `InputError` where it is taken."""
    pages = {f"/{path.name}": path for path in paths}
    pages["/"] = next(path for path in paths if path.suffix == ".html")

    class Handler(BaseHTTPRequestHandler):
        """Answers GET and HEAD."""

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def answer(self, with_body: bool) -> None:
            """The file, or why it is not given.

            A host name that is not this machine's is refused: a site may have pointed its own name here.
            """
            host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
            path = pages.get(self.path.partition("?")[0])
            if host not in NAMES:
                self.send_error(HTTPStatus.FORBIDDEN)
                return
            if path is None or not path.is_file():
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            data = path.read_bytes()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", TYPES[path.suffix])
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            if with_body:
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a person reads the terminal for the address."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as e:
        reason = getattr(e, "strerror", None) or str(e)
        raise InputError(
            f"port {port} cannot be used: {reason}; give another one, or --serve alone for a free one"
        ) from e


def serve_report(
    paths: Sequence[Path],
    console: Console,
    port: int = 0,
    opened: bool = False,
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve a report's files to this machine alone, until the process is interrupted; port 0 takes a free one.

    `opened`: a browser shows the page. `started` is called with the page's address.
    """
    with make_server(paths, port) as server:
        address = f"http://{HOST}:{server.server_port}/"
        if started is not None:
            started(address)
        if opened:
            open_page(address, console)
        console.info("served to this machine alone; Ctrl-C ends")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.info("ended")


def open_report(page: Path, console: Console) -> None:
    """Open a report's page in the user's browser; a warning says what to do where there is none."""
    open_page(page.resolve().as_uri(), console)


def open_page(address: str, console: Console) -> None:
    """Open an address in the user's browser."""
    if not webbrowser.open(address):
        console.warn(f"no browser could be started; open {address} yourself")
