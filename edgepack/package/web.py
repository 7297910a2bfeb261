"""The web app: static files that a server sends as they are, with the model inside or fetched from a URL.

`sample_apps/web` is the app. Here its defaults give way to the user's name, id and download URL, the bundle's files go
to `model/`, and the service worker gets a hash of all files as their version. The runtime, onnxruntime-web, comes from
npm, and packaging uses no network: it is copied where the template's `vendor/` has it already, else the README says the
line that fetches it.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from edgepack.bundle.goldens import Text
from edgepack.errors import InputError
from edgepack.package.examples import read_examples
from edgepack.package.project import (
    DEFAULT_APPLICATION_ID,
    DEFAULT_NAME,
    DEFAULT_VERSION_CODE,
    DEFAULT_VERSION_NAME,
    VECTOR_FORMS,
    AppOptions,
    PlacedBundle,
    copy_assets,
    write_readme,
)
from edgepack.package.template import copy_template, replaced
from edgepack.workspace import sha256_file

RUNTIMES = ("onnxruntime-web", "onnxruntime")  # one file format; the page runs both in the same library
WORKER = "service-worker.js"
CONNECT = "connect-src 'self'"
RUNTIME_FILE = "vendor/ort-wasm-simd-threaded.wasm"

VENDOR_STEP = """The runtime, onnxruntime-web, is not in this folder yet. Fetch it once, with Node.js 20 or newer;
everything afterwards works without a network:

```bash
npm ci --ignore-scripts && npm run vendor
```
"""

STEPS = """{vendor}
There is no build. Send this folder, without `node_modules/`, from any static server over https. To try it here:

```bash
npm run serve        # http://localhost:8000
```

Beside the runtime's files are their `.br` and `.gz` forms: have the server send these with `Content-Encoding`, 2.4 MB
instead of 14.3 MB.

The page must be on https or on localhost: browsers verify and keep files only there. Send the Content-Security-Policy
of `index.html` as a header too, with `frame-ancestors 'none'`, and `.wasm` as `application/wasm`. After a change to a
file of the page, change `VERSION` in `service-worker.js`, or package again: browsers keep what they have until then.
"""

VERIFIED = (
    "At each start the page compares the length of model and tokenizer with the manifest; before they are first used, "
    "also their sha256.",
)
NOT_VERIFIED = (
    "This copy was not opened in a browser. edgepack's own checks open the template with three bundles in headless "
    "Chromium and Firefox. Safari was not run.",
    "Latency on phones was not measured.",
)


def write_project(bundles: Sequence[PlacedBundle], options: AppOptions, folder: Path) -> None:
    """Write the site."""
    refuse_phone_options(options)
    bundle, manifest = bundles[0].folder, bundles[0].manifest
    examples = read_examples(bundle, manifest, options.examples)
    copy_template("web", folder, replacements(options, examples))
    copy_assets(bundle, manifest, options, folder / "model")
    set_version(folder)
    vendored = (folder / RUNTIME_FILE).is_file()
    write_readme(
        bundles,
        options,
        folder,
        device="web",
        kind="A web app",
        assets="model",
        steps=STEPS.format(vendor="The runtime is in `vendor/`.\n" if vendored else VENDOR_STEP),
        verified=VERIFIED,
        not_verified=NOT_VERIFIED,
    )


def refuse_phone_options(options: AppOptions) -> None:
    """`InputError` for what a site has no place for: no store numbers its releases, and its icons are in `icons/`."""
    given = {
        "version name": (options.version_name, DEFAULT_VERSION_NAME, "leave out --version-name"),
        "version code": (options.version_code, DEFAULT_VERSION_CODE, "leave out --version-code"),
        "icon": (options.icon, None, "leave out --icon and replace the files in the project's icons/"),
    }
    for what, (value, default, instead) in given.items():
        if value != default:
            raise InputError(f"{what} is {value}; allowed for android and ios alone; {instead}")


def replacements(options: AppOptions, examples: Sequence[Text] = ()) -> dict[str, dict[str, str]]:
    """The user's values where the template's defaults stand."""
    name = html.escape(options.name)
    page = {f"<title>{DEFAULT_NAME}</title>": f"<title>{name}</title>", f">{DEFAULT_NAME}</h1>": f">{name}</h1>"}
    files = {
        "index.html": page,
        "manifest.webmanifest": {
            json.dumps(DEFAULT_NAME): json.dumps(options.name, ensure_ascii=False),
            json.dumps(DEFAULT_APPLICATION_ID): json.dumps(options.application_id),
        },
    }
    settings = {f'VECTOR_FORM = "{VECTOR_FORMS[0]}"': f'VECTOR_FORM = "{options.vectors}"'}
    if examples:
        settings["EXAMPLES = []"] = f"EXAMPLES = {json.dumps(examples)}"
    if options.download_url is not None:
        url = urlsplit(options.download_url)
        page[CONNECT] = f"{CONNECT} {url.scheme}://{url.netloc}"
        settings['DOWNLOAD_URL = ""'] = f"DOWNLOAD_URL = {json.dumps(options.download_url)}"
    files["config.js"] = settings
    return files


def set_version(folder: Path) -> None:
    """Name the state of the page's files in the service worker, so that browsers notice another one."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256_file(path)}\n".encode())
    worker = folder / WORKER
    version = {'VERSION = "development"': f"VERSION = {json.dumps(digest.hexdigest()[:16])}"}
    worker.write_text(replaced(worker.read_text(encoding="utf-8"), version, f"web/{WORKER}"), encoding="utf-8")
