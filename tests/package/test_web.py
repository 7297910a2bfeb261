"""The web app's project: values escaped where they stand, a policy without strangers, a list that misses no file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack.package import AppOptions, package_bundle
from edgepack.package import web as web_module
from edgepack.package.template import checkout

TEMPLATE = checkout() / "web"
NOT_SERVED = {"README.md", "package.json", "package-lock.json", "vendor.mjs", "serve.mjs", "service-worker.js"}
NOT_SERVED |= {"core/README.md", "core/package.json", "core/LICENSE"}  # of the core as a package
FOR_THE_SYSTEM = {"icons/icon-maskable-512.png"}  # asked for at installation, never by the page


def shell_files() -> set[str]:
    """The files that the service worker keeps."""
    listed = re.search(r"const FILES = \[(.*?)\];", (TEMPLATE / "service-worker.js").read_text(), re.DOTALL)
    assert listed
    return set(re.findall(r'"([^"]+)"', listed[1]))


def policy(folder: Path) -> dict[str, str]:
    """The page's Content-Security-Policy by directive."""
    found = re.search(r'Content-Security-Policy" content="([^"]+)"', (folder / "index.html").read_text())
    assert found
    return {name: rest for name, _, rest in (part.strip().partition(" ") for part in found[1].split(";"))}


def test_the_service_worker_keeps_every_file_of_the_page() -> None:
    files = {p.relative_to(TEMPLATE).as_posix() for p in TEMPLATE.rglob("*") if p.is_file()}
    ours = {name for name in files if not name.startswith(("vendor/", "node_modules/", "model/"))}
    vendored = {f"vendor/{name}" for name in re.findall(r'"(ort[^"]+)"', (TEMPLATE / "vendor.mjs").read_text())}
    page = (ours - NOT_SERVED - FOR_THE_SYSTEM - {"index.html"}) | {"./", "model/edgepack.json"} | vendored
    assert shell_files() == page


def test_the_policy_allows_webassembly_and_nobody_else(bundle: Path, tmp_path: Path) -> None:
    package_bundle(bundle, "web", tmp_path / "app", AppOptions())
    rules = policy(tmp_path / "app")
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert not [rule for rule in rules.values() if set(rule.split()) - {"'self'", "'none'", "'wasm-unsafe-eval'"}]
    package_bundle(bundle, "web", tmp_path / "app2", AppOptions(download_url="https://models.example.com:8443/a/1"))
    assert policy(tmp_path / "app2") == {**rules, "connect-src": "'self' https://models.example.com:8443"}
    assert 'DOWNLOAD_URL = "https://models.example.com:8443/a/1";' in (tmp_path / "app2" / "config.js").read_text()


def test_names_are_escaped_where_they_stand(bundle: Path, tmp_path: Path) -> None:
    name = 'Tom\'s "A&B" </title><script>alert(1)'
    package_bundle(bundle, "web", tmp_path / "app", AppOptions(name, "com.example.tom"))
    page = (tmp_path / "app" / "index.html").read_text()
    assert page.count("<script") == 1
    assert "<title>Tom&#x27;s &quot;A&amp;B&quot; &lt;/title&gt;&lt;script&gt;alert(1)</title>" in page
    described = json.loads((tmp_path / "app" / "manifest.webmanifest").read_text())
    assert (described["name"], described["short_name"], described["id"]) == (name, name, "com.example.tom")
    assert not [p for p in (tmp_path / "app").rglob("*.webmanifest") if "edgepack sample" in p.read_text()]


def test_another_model_is_another_version(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    def version(model: bytes) -> str:
        bundle = make_bundle({"onnx/model_quantized.onnx": model, "tokenizer.bin": b"words"})
        package_bundle(bundle, "web", tmp_path / "app", AppOptions(), force=True)
        found = re.search(r'VERSION = "(\w+)"', (tmp_path / "app" / "service-worker.js").read_text())
        assert found
        return found[1]

    assert version(b"one") == version(b"one")
    assert version(b"one") != version(b"two")
    assert "development" not in (version(b"one"), version(b"two"))


@pytest.mark.parametrize("vendored", [True, False])
def test_the_page_says_how_to_fetch_the_runtime_where_it_is_not_there(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vendored: bool
) -> None:
    app = tmp_path / "app"
    monkeypatch.setattr(web_module, "RUNTIME_FILE", "index.html" if vendored else "nowhere.wasm")
    package_bundle(bundle, "web", app, AppOptions())
    assert ("npm ci --ignore-scripts && npm run vendor" in (app / "README.md").read_text()) is not vendored
