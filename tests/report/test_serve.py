"""`edgepack report --open` and `--serve`: the two files, for this machine alone."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgepack.cli import main
from edgepack.errors import InputError
from edgepack.report import serve, write_report
from tests.report.made import verdict, write_build


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_build(tmp_path_factory.mktemp("served") / "out", [verdict("android-onnx")])


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    """Of a running server."""
    with serve.make_server(write_report(folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(port: int, path: str, method: str = "GET", host: str | None = None) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
    response = connection.getresponse()
    return response, response.read()


def test_two_files_are_served(folder: Path, port: int) -> None:
    for path, name in (("/", "report.html"), ("/report.html?a", "report.html"), ("/report.md", "report.md")):
        response, body = ask(port, path)
        assert response.status == 200
        assert body == (folder / name).read_bytes()
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    response, body = ask(port, "/", "HEAD")
    assert (response.status, body) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/edgepack.json",
        "/bundles/android-onnx/verdict.json",
        "/../edgepack.json",
        "/%2e%2e/edgepack.json",
    ],
)
def test_nothing_else_is_served(port: int, path: str) -> None:
    assert ask(port, path)[0].status == 404
    assert ask(port, path, "POST")[0].status == 501


def test_other_names_are_refused(port: int) -> None:
    assert ask(port, "/", host="evil.example")[0].status == 403
    assert ask(port, "/", host=f"evil.example:{port}")[0].status == 403
    assert ask(port, "/", host=f"localhost:{port}")[0].status == 200


def test_other_machines_do_not_reach_it(folder: Path) -> None:
    with serve.make_server(write_report(folder)) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match=r"cannot be used: .*; give another one"):
            serve.make_server(write_report(folder), taken.getsockname()[1])


def test_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) is None)
    assert CliRunner().invoke(main, ["report", str(folder), "--open"]).exit_code == 0
    assert opened == [(folder / "report.html").resolve().as_uri()]
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    done = CliRunner().invoke(main, ["report", str(folder), "--open", "--quiet"])
    assert done.exit_code == 0
    assert "no browser could be started; open file://" in done.stderr


@pytest.mark.parametrize("words", [["--serve"], ["--serve", "0"]])
def test_serve_ends_with_ctrl_c(folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    def interrupt(server: object) -> None:
        raise KeyboardInterrupt

    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) is None)
    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", interrupt)
    done = CliRunner().invoke(main, ["report", str(folder), "--json", "--quiet", "--open", *words])
    assert done.exit_code == 0
    record = json.loads(done.stdout)
    assert record["address"].startswith("http://127.0.0.1:")
    assert opened == [record["address"]]
