"""The app's icon and version: taken as they are, or refused before a store would."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import click
import pytest

from edgepack.cli.release import package
from edgepack.errors import InputError
from edgepack.package import AppOptions, package_app, package_bundle
from edgepack.package.android import ADAPTIVE_ICON, LAUNCHER, TEMPLATE_ICON
from edgepack.package.android import ICON as ANDROID_ICON
from edgepack.package.icon import parse_icon, read_icon
from edgepack.package.ios import ICON as IOS_ICON
from edgepack.package.ios import PROJECT
from edgepack.package.project import LARGEST_VERSION_CODE, MOST_EXAMPLES
from tests.package.pngs import ICON, chunk, icon_rows, plain

TRANSPARENT = chunk(b"tRNS", bytes(6))


def test_a_header_says_size_and_transparency() -> None:
    for colour_type, extra, has_alpha in [(2, (), False), (6, (), True), (4, (), True), (0, (), False)]:
        icon = parse_icon(plain(3, 2, colour_type, *extra))
        assert icon is not None
        assert (icon.width, icon.height, icon.has_alpha) == (3, 2, has_alpha)
    icon = parse_icon(plain(3, 2, 2, TRANSPARENT))
    assert icon is not None
    assert icon.has_alpha


def test_no_cut_or_damaged_start_counts_as_a_png() -> None:
    whole = plain(3, 2)
    assert parse_icon(whole)
    for end in range(len(whole)):
        assert parse_icon(whole[:end]) is None, end
    for at in range(16):  # signature, and the first chunk's length and kind
        assert parse_icon(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]) is None, at
    assert parse_icon(whole.replace(b"IDAT", b"iDAT")) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GIF89a", "is no whole PNG file; give one of 512 x 512 to 2048 x 2048 pixels"),
        (plain(600, 512), "has 600 x 512 pixels; allowed: 512 x 512 to 2048 x 2048; export it in that size"),
        (plain(511, 511), "has 511 x 511 pixels"),
        (plain(2049, 2049), "has 2049 x 2049 pixels"),
    ],
)
def test_what_is_no_icon_is_refused_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "icon.png").write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_icon(tmp_path / "icon.png", 512, 2048)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="nowhere cannot be read"):
        read_icon(tmp_path / "nowhere", 512, 2048)


def test_the_ios_template_has_an_icon_that_the_store_takes(bundle: Path, tmp_path: Path) -> None:
    icon = read_icon(ICON, 1024, 1024)
    assert not icon.has_alpha
    pixels = icon.data[icon.data.index(b"IDAT") + 4 : icon.data.index(b"IEND") - 8]
    assert zlib.decompress(pixels) == b"".join(b"\0" + row for row in icon_rows())  # python -m tests.package.pngs
    package_bundle(bundle, "ios", tmp_path / "app", AppOptions())
    assert (tmp_path / "app" / IOS_ICON).read_bytes() == icon.data
    listed = (tmp_path / "app" / IOS_ICON).with_name("Contents.json").read_text()
    assert '"filename": "icon.png"' in listed


def test_ios_takes_the_users_icon_and_version(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(plain(1024, 1024))
    options = AppOptions(version_name="2.10.3", version_code=2_100_000_000, icon=tmp_path / "mine.png")
    package_bundle(bundle, "ios", tmp_path / "app", options)
    assert (tmp_path / "app" / IOS_ICON).read_bytes() == plain(1024, 1024)
    project = (tmp_path / "app" / PROJECT).read_text()
    assert set(re.findall(r"MARKETING_VERSION = (.*);", project)) == {"2.10.3"}
    assert set(re.findall(r"CURRENT_PROJECT_VERSION = (.*);", project)) == {"2100000000"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (plain(1024, 1024, 6), "has transparency; the App Store takes none"),
        (plain(1024, 1024, 2, TRANSPARENT), "has transparency; the App Store takes none"),
        (plain(512, 512), "has 512 x 512 pixels; allowed: 1024 x 1024; "),
        (plain(2048, 2048), "has 2048 x 2048 pixels; allowed: 1024 x 1024; "),
    ],
)
def test_an_icon_that_the_app_store_refuses(bundle: Path, tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "mine.png").write_bytes(data)
    with pytest.raises(InputError, match=message):
        package_bundle(bundle, "ios", tmp_path / "app", AppOptions(icon=tmp_path / "mine.png"))
    assert not (tmp_path / "app").exists()


def test_android_takes_the_users_icon_and_version(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(plain(512, 512, 6))
    options = AppOptions(version_name="2.0-rc.1", version_code=7, icon=tmp_path / "mine.png")
    package_bundle(bundle, "android", tmp_path / "app", options)
    app = tmp_path / "app"
    assert (app / ANDROID_ICON).read_bytes() == plain(512, 512, 6)
    assert (app / LAUNCHER).read_text() == ADAPTIVE_ICON
    assert f"@drawable/{ANDROID_ICON.stem}" in ADAPTIVE_ICON
    assert not (app / TEMPLATE_ICON).exists()
    assert not [p for p in app.rglob("*.xml") if TEMPLATE_ICON.stem in p.read_text()]
    script = (app / "app/build.gradle.kts").read_text()
    assert '        versionCode = 7\n        versionName = "2.0-rc.1"\n' in script


def test_without_an_icon_android_has_the_templates(bundle: Path, tmp_path: Path) -> None:
    package_bundle(bundle, "android", tmp_path / "app", AppOptions())
    assert (tmp_path / "app" / TEMPLATE_ICON).is_file()
    assert f"@drawable/{TEMPLATE_ICON.stem}" in (tmp_path / "app" / LAUNCHER).read_text()
    assert not (tmp_path / "app" / ANDROID_ICON).exists()


@pytest.mark.parametrize("app", ["android", "ios", "web"])
@pytest.mark.parametrize("code", [0, -1, 2_100_000_001, True, "1", 1.0])
def test_a_version_code_that_no_store_takes(bundle: Path, tmp_path: Path, app: str, code: int) -> None:
    message = f"version code is {code!r}; allowed: whole numbers from 1 to 2100000000; give one more than"
    with pytest.raises(InputError, match=re.escape(message)):
        package_bundle(bundle, app, tmp_path / "app", AppOptions(version_code=code))


@pytest.mark.parametrize(
    ("app", "name"),
    [
        *(("ios", name) for name in ("", "1.0-rc.1", "1.2.3.4", "1.", ".1", "v1", "1" * 19, "1.0\n")),
        *(("android", name) for name in ("", " 1", '1"', "1$x", "-1", "1" * 51, "1.0\n", "é")),
    ],
)
def test_a_version_name_that_the_store_refuses(bundle: Path, tmp_path: Path, app: str, name: str) -> None:
    with pytest.raises(InputError, match=r"version name is .*; allowed on (iOS|Android): .*, as 1\.0$"):
        package_bundle(bundle, app, tmp_path / "app", AppOptions(version_name=name))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version_name": "2.0"}, "version name is 2.0; allowed for android and ios alone; leave out version_name"),
        ({"version_code": 2}, "version code is 2; allowed for android and ios alone; leave out version_code"),
        ({"icon": "x.png"}, "icon is x.png; allowed for android and ios alone; leave out icon and replace the files"),
    ],
)
def test_a_site_has_no_version_and_icons_of_its_own(
    bundle: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        package_app(bundle, app="web", output=tmp_path / "app", **options)  # type: ignore[arg-type]


def test_the_command_line_allows_what_packaging_does() -> None:
    """It holds limits and defaults of its own: importing the package would cost start-up."""
    options = {option.name: option for option in package.params}
    ranges = {"version_code": (1, LARGEST_VERSION_CODE), "examples": (0, MOST_EXAMPLES)}
    for name, allowed in ranges.items():
        kind = options[name].type
        assert isinstance(kind, click.IntRange)
        assert (kind.min, kind.max) == allowed
    for name in ("version_name", "version_code", "examples"):
        assert options[name].default == getattr(AppOptions(), name)
