"""TorchScript for the mobile lite interpreter: qnnpack int8 linears, packed embedding tables.

A `.ptl` file is a zip: `data.pkl` and `data/*` hold the module's state, `bytecode.pkl` its program. The
program is `torchscript_program.MobileModel`, the same for every student; this file fills its state:

- linears: the int8 codes and fp32 scales of `quantize_int8`, or the 4-bit codes and block multipliers of
  `quantize_blocks`, two to a byte, with its fp32 scales; each weight set once, however many layers use it. An
  unfactorized query, key and value are one linear, so their input is rounded once.
- tables: the codes of `quantize_rows` in the byte layout of torch's `embedding_bag_{byte,4bit}_rowwise_offsets`
  (a row's codes, at 4 bits the even column in the low half of the byte, then scale and minimum).

The zip that torch writes also holds source code, debug information and padding to 64 bytes, none of which the
lite interpreter reads; here it is written again without them, the program deflated, with fixed dates. Weights
stay stored, so that a file's size follows from its shape. qnnpack multiplies int8 only: a 4-bit body is
expanded once, at load, so it saves bytes of the file, not of memory, and costs some load time.
"""

from __future__ import annotations

import io
import tempfile
import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor
from torch.jit.mobile import _get_model_ops_and_info

from edgepack.errors import InputError
from edgepack.export import Artifact
from edgepack.export.linear import Linear
from edgepack.export.matrix_format import MatrixFormat, packed_format
from edgepack.export.support import check_pruned, check_widths
from edgepack.export.torchscript_embedder import MobileEmbedder
from edgepack.export.torchscript_layout import Layout, embedder_options, layout, wide_options
from edgepack.export.torchscript_program import MobileModel, State
from edgepack.export.torchscript_wide import MobileWide
from edgepack.export.weights import Weights
from edgepack.quantization import INT4, BitWidth, Blocks, RowTable
from edgepack.student.config import StudentConfig
from edgepack.student.match import MATCH
from edgepack.student.model import Student
from edgepack.student.relative_positions import bucket_by_distance
from edgepack.target import Target
from edgepack.task.similarity import EMBEDS
from edgepack.workspace import write_atomic

ARCHIVE = "m"  # the zip's one folder; any name is read, so the shortest
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold
READ = ("data.pkl", "constants.pkl", "bytecode.pkl", ".data/version")  # with data/*: what the lite interpreter opens
MAX_BUCKETS = 256  # bucket numbers are stored in a byte


def export_torchscript(student: Student, target: Target, folder: Path) -> Artifact:
    """Write `folder/<target.file>`; the same student gives the same bytes, wherever and whenever."""
    check_supported(student.config, target)
    check_pruned(student)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces ExecuTorch here; that is another target
        written = torch.jit.script(program(student))._save_to_buffer_for_lite_interpreter()
    data = pack_archive(written)
    operators = used_operators(data)
    _check_operators(operators, target)
    path = folder / target.file
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)
    return Artifact(target, path, path.stat().st_size, operators)


def check_supported(config: StudentConfig, target: Target) -> None:
    """Raise `InputError` for what this format cannot hold."""
    check_widths(config, target)
    if config.relative_attention_buckets > MAX_BUCKETS:
        raise InputError(
            f"target {target.name}: relative_attention_buckets is {config.relative_attention_buckets}; "
            f"at most {MAX_BUCKETS} can be stored; use fewer buckets"
        )


def program(student: Student) -> MobileModel:
    """The program, holding the student's state."""
    config, state = student.config, program_state(student)
    if config.task == EMBEDS:
        return MobileEmbedder(state, embedder_options(config))
    if config.wide_rows:
        table = _table(Weights(student), "wide.weight", config.small_table_width)
        return MobileWide(state, table, wide_options(config))
    return MobileModel(state)


def program_state(student: Student) -> State:
    """The state of `MobileEncoder` for a student, at its config's bit widths."""
    config, weights = student.config, Weights(student)
    shape = layout(config)
    integers, floats = _body(weights, shape)
    words = _table(weights, "embeddings.word.weight", config.embedding_width)
    positions = _table(weights, "embeddings.position.weight", config.small_table_width)
    return (shape.options, shape.lists, config.norm_eps, integers, floats, words, positions, _buckets(config))


def packed_rows(table: RowTable) -> Tensor:
    """Rows as torch's row-wise embedding operators read them: uint8 `(rows, codes + scale + minimum)`."""
    codes = table.q
    if table.width == INT4:
        codes = torch.nn.functional.pad(codes, (0, codes.shape[1] % 2))
        codes = codes[:, ::2] | codes[:, 1::2] << 4
    tail = torch.stack([table.scale, table.minimum], dim=1).view(torch.uint8)
    return torch.cat([codes, tail], dim=1).contiguous()


def packed_blocks(weight: Blocks) -> Tensor:
    """q + 8, then the multipliers, as half bytes: the first half of them low, the second half high; flat uint8."""
    halves = torch.cat([(weight.q + weight.width.levels // 2).to(torch.uint8).flatten(), weight.multiplier.flatten()])
    low, high = torch.nn.functional.pad(halves, (0, len(halves) % 2)).chunk(2)
    return low | high << 4


def pack_archive(written: bytes) -> bytes:
    """torch's zip without what the lite interpreter does not read; same records, same bytes, every time."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(written)) as source, zipfile.ZipFile(packed, "w") as archive:
        for name in source.namelist():
            record = name.partition("/")[2]
            if not _is_read(record):
                continue
            info = zipfile.ZipInfo(f"{ARCHIVE}/{record}", EPOCH)
            info.create_system = 0  # else Python says which system it runs on
            info.compress_type = zipfile.ZIP_DEFLATED if record == "bytecode.pkl" else zipfile.ZIP_STORED
            archive.writestr(info, source.read(name), compresslevel=9)
    return packed.getvalue()


def used_operators(data: bytes) -> tuple[str, ...]:
    """Operators that a file of these bytes asks of the runtime, by name and overload, sorted."""
    with tempfile.TemporaryDirectory() as scratch:  # torch 2.13 takes the bytes of a buffer for a file's name
        path = Path(scratch) / "model.ptl"
        path.write_bytes(data)
        return tuple(sorted(_get_model_ops_and_info(str(path))))


def _check_operators(operators: tuple[str, ...], target: Target) -> None:
    unknown = [name for name in operators if name not in target.operators]
    if unknown:
        raise InputError(
            f"target {target.name}: the program uses {unknown[0]}, which the target's operators do not list; "
            f"add it to {target.name}.toml if the runtime has it"
        )


def _is_read(record: str) -> bool:
    return record.startswith("data/") or record in READ


def _body(weights: Weights, shape: Layout) -> tuple[Tensor, Tensor]:
    """All linear weights, and all scales, biases, norms, token types, relative biases and matches, each in one run."""
    matrices: list[Tensor] = []
    floats: list[Tensor] = []
    for linear in shape.linears:
        matrix, scale = _matrix(weights, linear)
        matrices.append(matrix.flatten())
        floats += [scale] if scale is not None else []
        floats += [weights.bias(linear)] if linear.bias else []
    for path in shape.norms:
        floats += [weights.parameter(f"{path}.weight"), weights.parameter(f"{path}.bias")]
    if weights.config.type_vocab_size:
        floats.append(weights.parameter("embeddings.token_type.weight").flatten())
    floats += [weights.parameter(f"{path}.relative_bias").flatten() for path in shape.relative]
    floats += [weights.parameter(MATCH)] if weights.config.match_separator is not None else []
    integers, flat = torch.cat(matrices), torch.cat(floats)
    assert (len(integers), len(flat)) == (shape.integers, shape.floats), "exporter and layout disagree"
    return integers, flat


def _matrix(weights: Weights, linear: Linear) -> tuple[Tensor, Tensor | None]:
    """A matrix as the file holds it, and its scales."""
    stored = packed_format(linear, weights.config)
    if stored is MatrixFormat.FLOATS:
        return weights.matrix(linear), None
    if stored is MatrixFormat.CHANNELS:
        channels = weights.channels(linear)
        return channels.q, channels.scale
    blocks = weights.blocks(linear, INT4)
    return packed_blocks(blocks), blocks.scale


def _table(weights: Weights, path: str, width: BitWidth) -> Tensor:
    return packed_rows(weights.rows(path, width)) if width.is_rounded else weights.parameter(path).contiguous()


def _buckets(config: StudentConfig) -> Tensor:
    """Relative bucket of every distance query − key; empty without relative positions."""
    if not config.relative_attention_buckets:
        return torch.empty(0, dtype=torch.uint8)
    return bucket_by_distance(config).to(torch.uint8)
