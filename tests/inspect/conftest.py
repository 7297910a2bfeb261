"""Apps to inspect: manifests made by aapt2, libraries by gcc; small good ones, each to break in one way."""

from __future__ import annotations

import plistlib
import struct
import subprocess
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from edgepack.bundle.manifest import (
    BundleManifest,
    MetricRecord,
    PaddingRecord,
    TeacherRecord,
    TensorRecord,
    file_record,
    runtime_record,
    write_model,
)
from edgepack.target import load_target

MODEL, TOKENIZER = b"model " * 500, b"EPTK words"
PRIVACY = {
    "NSPrivacyTracking": False,
    "NSPrivacyTrackingDomains": [],
    "NSPrivacyCollectedDataTypes": [],
    "NSPrivacyAccessedAPITypes": [
        {
            "NSPrivacyAccessedAPIType": "NSPrivacyAccessedAPICategoryFileTimestamp",
            "NSPrivacyAccessedAPITypeReasons": ["C617.1"],
        }
    ],
}
MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="dev.edgepack.sample">
  <uses-sdk android:minSdkVersion="26" android:targetSdkVersion="28"/>
  {permissions}
  <application android:label="Sample 😀 é" {debuggable}/>
</manifest>
"""
Make = Callable[..., Path]


@dataclass(frozen=True)
class File:
    """One entry of an archive to write; `align` is where its bytes must start, 1 for anywhere."""

    data: bytes
    stored: bool = False
    align: int = 1
    shift: int = 0  # bytes away from the alignment

    def at(self, offset: int) -> int:
        """The first good place from `offset` on."""
        return offset + (-offset) % self.align + self.shift


@dataclass(frozen=True)
class Contents:
    """The files of an app, by name."""

    files: dict[str, File] = field(default_factory=dict)

    def put(self, name: str, data: bytes | None = None, **changes: bool | int) -> Contents:
        """With one file added or changed."""
        known = self.files.get(name, File(b""))
        changed = replace(known, **({} if data is None else {"data": data}), **changes)
        return Contents({**self.files, name: changed})

    def without(self, name: str) -> Contents:
        """With one file taken away."""
        return Contents({key: value for key, value in self.files.items() if key != name})

    def write(self, path: Path) -> Path:
        """As a zip file; extra fields push stored entries to their places, as zipalign does."""
        with zipfile.ZipFile(path, "w") as archive:
            for name, file in self.files.items():
                info = zipfile.ZipInfo(name)
                info.compress_type = zipfile.ZIP_STORED if file.stored else zipfile.ZIP_DEFLATED
                info.extra = padding(archive.start_dir + 30 + len(name.encode()), file)
                archive.writestr(info, file.data)
        return path


def padding(offset: int, file: File) -> bytes:
    """An extra field after which the entry's bytes start where they must."""
    size = file.at(offset + 4) - offset
    return struct.pack("<HH", 0xD935, size - 4) + bytes(size - 4)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory, android_tools: Path) -> Callable[..., bytes]:
    """AndroidManifest.xml as aapt2 compiles it; each variant once."""
    folder, known = tmp_path_factory.mktemp("manifests"), dict[tuple[bool, str, bool], bytes]()

    def compile_manifest(proto: bool = False, permissions: Iterable[str] = (), debuggable: bool = False) -> bytes:
        tags = "".join(f'<uses-permission android:name="{name}"/>' for name in permissions)
        if (proto, tags, debuggable) not in known:
            text = MANIFEST.format(permissions=tags, debuggable='android:debuggable="true"' if debuggable else "")
            (folder / "AndroidManifest.xml").write_text(text)
            command = ["aapt2", "link", "--manifest", "AndroidManifest.xml", "-I", str(android_tools), "-o", "out.apk"]
            subprocess.run([*command, *(["--proto-format"] if proto else [])], cwd=folder, check=True)
            with zipfile.ZipFile(folder / "out.apk") as archive:
                known[proto, tags, debuggable] = archive.read("AndroidManifest.xml")
        return known[proto, tags, debuggable]

    return compile_manifest


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, android_tools: Path) -> Callable[..., bytes]:
    """A shared library as gcc links it, with pages of this size and a text that it keeps."""
    folder, known = tmp_path_factory.mktemp("libraries"), dict[tuple[int, str, int], bytes]()

    def link(pages: int = 16384, text: str = "nothing", bits: int = 64) -> bytes:
        if (pages, text, bits) not in known:
            (folder / "a.c").write_text(f'const char text[] = "{text}"; int data = 1; int f(void) {{ return data; }}')
            flags = ["-shared", "-nostdlib", "-fPIC", f"-m{bits}", f"-Wl,-z,max-page-size={pages}"]
            subprocess.run(["gcc", *flags, "a.c", "-o", "a.so"], cwd=folder, check=True)
            known[pages, text, bits] = (folder / "a.so").read_bytes()
        return known[pages, text, bits]

    return link


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Writes a bundle: shipped files and a manifest."""

    def make(target: str = "android-onnx", model: bytes = MODEL) -> Path:
        folder = tmp_path / f"bundle-{target}-{len(list(tmp_path.iterdir()))}"
        shipped = {load_target(target).file: model, "tokenizer.bin": TOKENIZER}
        for name, data in shipped.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        metric = MetricRecord(name="accuracy", value=0.9, n=10, low=0.8, high=1.0)
        manifest = BundleManifest(
            task="text-classification",
            labels=["no", "yes"],
            max_length=64,
            padding=PaddingRecord(),
            inputs=[TensorRecord(name="input_ids", dtype="int64", shape=["batch", "seq"])],
            outputs=[TensorRecord(name="logits", dtype="float32", shape=["batch", 2])],
            target=target,
            runtime=runtime_record(load_target(target)),
            files=[file_record(folder, folder / name, True) for name in shipped],
            shipped_bytes=len(model) + len(TOKENIZER),
            budget_bytes=10_000,
            metrics={"artifact": metric},
            teacher=TeacherRecord(name="t", sha256="0" * 64),
            edgepack_version="0.1.0",
            created="2026-11-25T00:00:00Z",
        )
        write_model(folder / "edgepack.json", manifest)
        return folder

    return make


@pytest.fixture
def apk(make_bundle: Make, compiled: Callable[..., bytes], library: Callable[..., bytes]) -> Contents:
    """A good .apk; unsigned."""
    contents = Contents().put("AndroidManifest.xml", compiled())
    for abi, bits, pages in [("arm64-v8a", 64, 16384), ("x86_64", 64, 16384), ("armeabi-v7a", 32, 4096)]:
        data = library(pages=pages, bits=bits)
        contents = contents.put(f"lib/{abi}/libonnxruntime.so", data, stored=True, align=pages)
        contents = contents.put(f"lib/{abi}/libonnxruntime4j_jni.so", data, stored=True, align=pages)
    return with_bundle(contents, make_bundle(), "assets/", stored=True, align=4)


@pytest.fixture
def aab(make_bundle: Make, compiled: Callable[..., bytes], library: Callable[..., bytes]) -> Contents:
    """A good .aab: its BundleConfig.pb is Compression { uncompressed_glob } in field 3."""
    globs = b"".join(b"\x0a" + bytes([len(glob)]) + glob for glob in (b"**.[oO][nN][nN][xX]", b"res/*.png"))
    config = b"\x0a\x06\x12\x041.18" + b"\x1a" + bytes([len(globs)]) + globs
    contents = Contents().put("BundleConfig.pb", config)
    contents = contents.put("base/manifest/AndroidManifest.xml", compiled(proto=True))
    contents = contents.put("base/lib/arm64-v8a/libonnxruntime.so", library())
    return with_bundle(contents, make_bundle(), "base/assets/")


@pytest.fixture
def ipa(make_bundle: Make) -> Contents:
    """A good .ipa, its runtime linked into the app."""
    executable = b"\xcf\xfa\xed\xfe" + bytes(28) + b"N11onnxruntime16InferenceSessionE\0"
    contents = Contents().put("Payload/Sample.app/Sample", executable)
    contents = contents.put("Payload/Sample.app/Info.plist", plistlib.dumps({"CFBundleIdentifier": "dev.edgepack.x"}))
    contents = contents.put("Payload/Sample.app/PrivacyInfo.xcprivacy", plistlib.dumps(PRIVACY))
    contents = contents.put("Payload/Sample.app/_CodeSignature/CodeResources", plistlib.dumps({}))
    return with_bundle(contents, make_bundle("ios-onnx"), "Payload/Sample.app/assets/")


def with_bundle(contents: Contents, bundle: Path, place: str, **how: bool | int) -> Contents:
    """With the bundle's files as assets."""
    for path in sorted(bundle.rglob("*")):
        if path.is_file():
            name = path.relative_to(bundle).as_posix()
            contents = contents.put(place + name, path.read_bytes(), **how)
    return contents
