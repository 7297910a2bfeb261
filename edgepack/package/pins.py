"""The versions that the sample apps ask for: `sample_apps/pins.toml`, the one table of them.

An app pins the runtime that it links. A bundle says the oldest version that runs it, so a bundle that is newer than an
app's pin is refused when it is packaged, not found out on a phone.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date
from functools import cache

from pydantic import BaseModel, ConfigDict

from edgepack.bundle.manifest import BundleManifest
from edgepack.errors import InputError
from edgepack.package.template import read_template

PINS_NAME = "pins.toml"


class Pin(BaseModel):
    """A version in one file of an app; `line` is how it stands there, `{}` in its place.

    `min_sdk`: the oldest Android SDK that a runtime's library runs on; `min_sdk_from`: the vendor's file
    that states it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    app: str
    file: str
    line: str
    version: str
    newest: str
    date: date
    needs: str
    checked: str
    runtimes: tuple[str, ...] = ()
    min_sdk: int | None = None
    min_sdk_from: str = ""

    @property
    def written(self) -> str:
        """The text that the app's file holds."""
        return self.line.replace("{}", self.version)


@cache
def load_pins() -> tuple[Pin, ...]:
    """All pins, in the table's order."""
    return tuple(Pin.model_validate(entry) for entry in tomllib.loads(read_template(PINS_NAME))["pins"])


def runtime_pin(app: str, runtime: str) -> Pin | None:
    """The library that this app runs such models with; None where it is part of the system."""
    return next((pin for pin in load_pins() if pin.app == app and runtime in pin.runtimes), None)


def ios_target() -> str:
    """The oldest iOS that the template's own code runs on."""
    return next(pin.version for pin in load_pins() if pin.name == "iOS")


def check_version(manifest: BundleManifest, app: str) -> None:
    """`InputError` for a bundle that needs a newer runtime than the app links."""
    runtime, pin = manifest.runtime, runtime_pin(app, manifest.runtime.name)
    if pin is not None and numbers(runtime.min_version) > numbers(pin.version):
        raise InputError(
            f"the bundle needs {runtime.name} {runtime.min_version} or newer; the {app} app links {pin.name} "
            f"{pin.version}: package it with the edgepack that built it, or build it again with this one"
        )


def numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, to be compared: `iOS 18` → (18,), `1.24.0` → (1, 24)."""
    found = [int(part) for part in re.findall(r"\d+", version)]
    while found and not found[-1]:
        found.pop()
    return tuple(found)
