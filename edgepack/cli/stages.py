"""Commands that run one stage of a finished build again, or export a student by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from edgepack.cli.options import (
    EXISTING_FOLDER,
    FOLDER,
    make_console,
    output_options,
    place_options,
    print_result,
    target_option,
)

WIDTHS = click.Choice(["1", "2", "3", "4", "8"])


@click.command()
@click.argument("student", type=EXISTING_FOLDER)
@target_option
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder for the model files, one folder each.")
@click.option("--body-bits", type=WIDTHS, help="Bits of all layers' weights; 1: ternary. [default: as trained]")
@click.option("--embedding-bits", type=WIDTHS, help="Bits of the word table; 1: ternary. [default: as trained]")
@output_options
def export(
    student: Path, targets: tuple[str, ...], output: Path, as_json: bool, quiet: bool, **widths: str | None
) -> None:
    """Write a student folder as a model file for each target."""
    from edgepack.build.single_stage import export_student

    body, embedding = (int(bits) if bits else None for bits in (widths["body_bits"], widths["embedding_bits"]))
    print_result(export_student(student, targets, output, body, embedding, make_console(quiet)), as_json)


@click.command()
@click.argument("output", type=EXISTING_FOLDER)
@click.option(
    "--arch",
    type=click.Choice(["arm64"]),
    help="Run ONNX, LiteRT and ExecuTorch files on this CPU, emulated, and compare the answers with those here.",
)
@click.option(
    "--examples",
    type=click.IntRange(min=1),
    help="With --arch: use only so many evaluation examples, since emulation is slow. [default: all]",
)
@place_options
@output_options
@click.pass_context
def validate(
    ctx: click.Context,
    /,
    output: Path,
    arch: str | None,
    examples: int | None,
    as_json: bool,
    quiet: bool,
    **places: Any,
) -> None:
    """Run a build's model files again; compare them with the teacher.

    Each runs in its own runtime. The bundles get the new verdicts; exit 1 if one did not pass.
    """
    if examples is not None and arch is None:
        raise click.UsageError("--examples goes with --arch")
    result: Any  # two kinds of result, which print and exit alike
    if arch is not None:
        refuse_places(places)
        from edgepack.evidence.compare_cpus import compare_architecture

        result = compare_architecture(output, arch, examples, make_console(quiet), places["evaluation"])
    else:
        from edgepack.build.single_stage import Moved, validate_output

        result = validate_output(output, make_console(quiet), Moved(**places))
    print_result(result, as_json)
    ctx.exit(result.exit_code)


def refuse_places(places: Mapping[str, Any]) -> None:
    """A usage error for what a comparison of two processors does not open: it reads bundles and evaluation data."""
    flags = {"teacher": "-m", "train": "-d", "raw_text": "--raw-text", "student_tokenizer": "--student-tokenizer"}
    for name, flag in flags.items():
        if places[name] is not None:
            raise click.UsageError(f"{flag} does not go with --arch, which reads bundles and the evaluation data alone")


@click.command()
@click.argument("output", type=EXISTING_FOLDER)
@place_options
@output_options
def bundle(output: Path, as_json: bool, quiet: bool, **places: Any) -> None:
    """Write a build's bundles again from its finished stages."""
    from edgepack.build.single_stage import Moved, bundle_output

    print_result(bundle_output(output, make_console(quiet), Moved(**places)), as_json)
