"""A phone's speed profile out of device reports: times of the models that ran there, their shapes from the builds.

Prices follow from models of several shapes (`speed_fit.py`). Where the phone ran as many, its profile is these. Where
it ran fewer, a profile of another machine in the same runtime lends its shapes: each of its times is multiplied by how
much longer than estimated from it the phone's own took, the median over models and lengths. How far single ones are
from that median is said; what shapes that the phone never ran take there remains a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from edgepack._version import __version__
from edgepack.bundle.manifest import BuildManifest, artifact_sha256, load_build_manifest, load_manifest, model_text
from edgepack.console import format_table
from edgepack.errors import InputError, bare, shown
from edgepack.evidence.device import THROTTLED, DeviceReport, read_device_report, refuse_foreign
from edgepack.evidence.speed_profile import (
    ProfiledModel,
    RuntimeProfile,
    Scaled,
    SpeedProfile,
    error_figures,
    known_tokens,
    read_speed_profile,
)
from edgepack.plan.speed import token_labels
from edgepack.plan.speed_fit import LEAST_SHAPES, errors_left_out, fit_prices, shape_of, time_of
from edgepack.student.config import StudentConfig
from edgepack.target import Target, load_target
from edgepack.workspace import write_output

EVEN = ("num_heads", "head_sizes", "intermediate_sizes")  # alike in every layer of a shape that a profile can hold


@dataclass(frozen=True, eq=False)
class DeviceProfileResult:
    """A phone's profile, its file, and the errors of its own times, as they are estimated from it."""

    profile: SpeedProfile
    path: Path
    errors: dict[str, list[float]]

    def to_record(self) -> dict[str, Any]:
        """As JSON: for each runtime, what was run, what was scaled, and how far off estimates of it are."""
        runtimes = {}
        for each in self.profile.runtimes:
            errors, scaled = self.errors[each.runtime], each.scaled
            runtimes[each.runtime] = {
                "models": len(each.models),
                "scaled": None if scaled is None else scaled.model_dump(mode="json"),
                **error_figures(errors),
            }
        return {"path": str(self.path), "device": self.profile.device, "runtimes": runtimes}

    def table(self) -> str:
        """A line for each runtime."""
        rows = [["runtime", "models", "times", "median error", "largest error"]]
        for name, found in self.to_record()["runtimes"].items():
            scaled = found["scaled"]
            times = "its own" if scaled is None else f"{scaled['factor']:g} x those of {scaled['device']}"
            rows.append([name, str(found["models"]), times, *(f"{found[key]:.1%}" for key in
                                                              ("median_error", "largest_error"))])  # fmt: skip
        lines = [f"{self.profile.device}, {self.profile.os}", format_table(rows)]
        scaled = any(each.scaled is not None for each in self.profile.runtimes)
        lines.append(
            "errors: of the times in the device reports, estimated from this profile; what other shapes take is a guess"
            if scaled
            else "errors: of a shape's times, estimated from all other shapes"
        )
        return "\n".join([*lines, f"written to {self.path}; plan and build take it with --speed-profile"])


def profile_device(
    builds: Sequence[Path], reports: Sequence[Path], path: Path, base: Path | None = None
) -> DeviceProfileResult:
    """Write the profile of the device that all `reports` are of to `path`; their artifacts are those of `builds`.

    `base`: a profile of another machine, for a runtime of which the device ran too few shapes. `InputError` where a
    report is of none of the builds, was measured hot, or has no shape that a profile can hold.
    """
    read = [read_device_report(each) for each in reports]
    device = one_device(read)
    artifacts = dict(pair for build in builds for pair in artifacts_of(build))
    refuse_foreign(read, set(artifacts))
    lent = None if base is None else read_speed_profile(base)
    models: dict[tuple[str, bool], tuple[Target, str, list[ProfiledModel]]] = {}
    for report in read:
        target, config = artifacts[report.artifact_sha256]
        _, _, known = models.setdefault((target.runtime, target.static_shape), (target, report.runtime, []))
        known.append(profiled_model(config, report))
    runtimes, errors = [], {}
    for target, version, own in models.values():
        runtime, errors[target.runtime] = runtime_profile(target, own, lent, version)
        runtimes.append(runtime)
    profile = SpeedProfile(
        device=device.device,
        os=device.os,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        edgepack_version=__version__,
        runtimes=runtimes,
    )
    write_output(path, (model_text(profile) + "\n").encode())
    return DeviceProfileResult(profile, path, errors)


def one_device(reports: Sequence[DeviceReport]) -> DeviceReport:
    """The first of them; `InputError` where they are of several devices, or times are not to be believed."""
    names = sorted({f"{report.device}, {report.os}" for report in reports})
    if len(names) > 1:
        raise InputError(f"the device reports are of {'; '.join(map(bare, names))}; a profile is of one device")
    for report in reports:
        if report.thermal in THROTTLED or report.goldens_passed < report.goldens:
            raise InputError(
                f"the device report of {shown(report.device)} has thermal state {report.thermal}, and "
                f"{report.goldens_passed} of {report.goldens} goldens came out; its times are not to be believed"
            )
    return reports[0]


def artifacts_of(build: Path) -> list[tuple[str, tuple[Target, StudentConfig]]]:
    """The hash of each artifact of a build, with its target and the shape of its student."""
    manifest = load_build_manifest(build)
    config = config_of(build, manifest)
    bundles = [load_manifest(build / str(each.get("bundle", ""))) for each in manifest.artifacts]
    return [(artifact_sha256(bundle), (load_target(bundle.target), config)) for bundle in bundles]


def config_of(build: Path, manifest: BuildManifest) -> StudentConfig:
    """The student's config, without its vocabulary map."""
    try:
        config = StudentConfig(**{**manifest.plan["shape"], "vocab_map": None})
        own = [getattr(config, name) for name in EVEN]
    except (KeyError, TypeError, ValueError) as e:
        raise InputError(f"{build}: its plan has no shape that this version reads; build again") from e
    uneven = any(len(set(values or [0])) > 1 for values in own)
    if uneven or any(any(ranks) for ranks in (config.ranks or {}).values()):
        raise InputError(
            f"{build}: its layers differ from each other, or are of low rank; a speed profile holds even ones"
        )
    return config


def profiled_model(config: StudentConfig, report: DeviceReport) -> ProfiledModel:
    """A report's times with the shape that they are of."""
    heads, sizes, units = (getattr(config, name)[0] for name in EVEN)
    return ProfiledModel(
        layers=config.num_hidden_layers,
        heads=heads,
        head_size=sizes,
        ffn=units,
        hidden=config.hidden_size,
        embedding=config.embedding_size,
        vocabulary=config.vocab_size,
        token_labels=token_labels(config),
        body_bits=config.body_bits,
        embedding_bits=config.embedding_bits,
        p50_ms=dict(report.p50_ms),
    )


def runtime_profile(
    target: Target, own: list[ProfiledModel], lent: SpeedProfile | None, version: str
) -> tuple[RuntimeProfile, list[float]]:
    """What the device's models are in one runtime, with others' shapes where they are too few; and the errors."""
    found = RuntimeProfile(runtime=target.runtime, version=version, static_shape=target.static_shape, models=own)
    timed = [model.timed() for model in own]
    shapes = len({shape_of(model) for model in timed})
    if shapes >= LEAST_SHAPES:
        return found, errors_left_out(timed)
    base = None if lent is None else lent.of(target)
    if lent is None or base is None:
        raise InputError(
            f"the device ran models of {shapes} of the {LEAST_SHAPES} shapes that a profile needs in {target.runtime}; "
            f"give --speed-profile FILE, a profile of another machine whose times are scaled: `edgepack profile -t "
            f"{target.name}` writes one"
        )
    prices, (shortest, longest) = fit_prices(base.timed()), known_tokens(base.models)
    ratios = [
        time / time_of(model, prices, tokens)
        for model in timed
        for tokens, time in model.p50_us.items()
        if shortest <= tokens <= longest
    ]
    if not ratios:
        raise InputError(f"the device reports have no time between {shortest} and {longest} tokens, as the profile has")
    factor = median(ratios)
    scaled = [
        model.model_copy(
            update={"p50_ms": {n: round(factor * ms, 4) for n, ms in model.p50_ms.items()}, "peak_bytes": None}
        )
        for model in base.models
    ]
    lender = Scaled(device=lent.device, factor=round(factor, 4))
    return found.model_copy(update={"models": scaled, "scaled": lender}), [abs(factor / ratio - 1) for ratio in ratios]
