"""TorchScript for the mobile lite interpreter: qnnpack int8 linears, packed embedding tables.

A `.ptl` file is a zip: `data.pkl` and `data/*` hold the module's state, `bytecode.pkl` its program. The
program is `torchscript_program.MobileEncoder`, the same for every student; this file fills its state:

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
import os
import warnings
import zipfile
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.jit.mobile import _get_model_ops_and_info

from edgepack.errors import InputError
from edgepack.export import Artifact
from edgepack.export.support import check_widths
from edgepack.export.torchscript_layout import Layout, layout
from edgepack.export.torchscript_program import MobileEncoder, State
from edgepack.quantization import LEVELS, Blocks, RowTable, quantize_blocks, quantize_int8, quantize_rows
from edgepack.student.config import StudentConfig
from edgepack.student.model import Attention, Projection, QuantizedLinear, Student, relative_buckets
from edgepack.target import Target

ARCHIVE = "m"  # the zip's one folder; any name is read, so the shortest
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold
READ = ("data.pkl", "constants.pkl", "bytecode.pkl", ".data/version")  # with data/*: what the lite interpreter opens
MAX_BUCKETS = 256  # bucket numbers are stored in a byte


def export_torchscript(student: Student, target: Target, folder: Path) -> Artifact:
    """Write `folder/<target.file>`; the same student gives the same bytes, wherever and whenever."""
    check_supported(student.config, target)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces ExecuTorch here; that is another target
        written = torch.jit.script(MobileEncoder(program_state(student)))._save_to_buffer_for_lite_interpreter()
    path = folder / target.file
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write_through(beside, pack_archive(written))
        operators = used_operators(beside)
        _check_operators(operators, target)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return Artifact(target, path, path.stat().st_size, operators)


def check_supported(config: StudentConfig, target: Target) -> None:
    """Raise `InputError` for what this format cannot hold."""
    check_widths(config, target)
    if config.relative_attention_buckets > MAX_BUCKETS:
        raise InputError(
            f"target {target.name}: relative_attention_buckets is {config.relative_attention_buckets}; "
            f"at most {MAX_BUCKETS} can be stored; use fewer buckets"
        )


def program_state(student: Student) -> State:
    """The state of `MobileEncoder` for a student, at its config's bit widths."""
    config = student.config
    shape = layout(config)
    integers, floats = _body(student, shape)
    bits = config.embedding_bits
    words = _table(student.embeddings.word.weight, bits)
    positions = _table(student.embeddings.position.weight, max(bits, 8))
    return (shape.options, shape.lists, config.norm_eps, integers, floats, words, positions, _buckets(config))


def packed_rows(table: RowTable) -> Tensor:
    """Rows as torch's row-wise embedding operators read them: uint8 `(rows, codes + scale + minimum)`."""
    codes = table.q
    if table.bits == 4:
        codes = torch.nn.functional.pad(codes, (0, codes.shape[1] % 2))
        codes = codes[:, ::2] | codes[:, 1::2] << 4
    tail = torch.stack([table.scale, table.minimum], dim=1).view(torch.uint8)
    return torch.cat([codes, tail], dim=1).contiguous()


def packed_blocks(weight: Blocks) -> Tensor:
    """q + 8, then the multipliers, as half bytes: the first half of them low, the second half high; flat uint8."""
    halves = torch.cat([(weight.q + LEVELS[4] // 2).to(torch.uint8).flatten(), weight.multiplier.flatten()])
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


def used_operators(path: Path) -> tuple[str, ...]:
    """Operators that the file asks of the runtime, by name and overload, sorted."""
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


def _body(student: Student, shape: Layout) -> tuple[Tensor, Tensor]:
    """All linear weights, and all scales, biases, norms, token types and relative biases, each in one run."""
    weights: list[Tensor] = []
    floats: list[Tensor] = []
    for group in _linear_groups(student):
        weight = torch.cat([linear.weight for linear in group]).float()
        if student.config.body_bits == 8:
            channels = quantize_int8(weight)
            weight = channels.q
            floats.append(channels.scale)
        elif student.config.body_bits == 4:
            blocks = quantize_blocks(weight, 4, student.config.block_size)
            weight = packed_blocks(blocks)
            floats.append(blocks.scale)
        weights.append(weight.flatten())
        floats += [linear.bias for linear in group if linear.bias is not None]
    for norm in _norms(student):
        floats += [norm.weight, norm.bias]  # type: ignore[list-item]
    if student.embeddings.token_type is not None:
        floats.append(student.embeddings.token_type.weight.flatten())
    relative = [cast(Attention, attention).relative_bias for attention in student.attention]
    floats += [bias.flatten() for bias in relative if bias is not None]
    integers, flat = torch.cat(weights), torch.cat([part.float() for part in floats])
    assert (len(integers), len(flat)) == (shape.integers, shape.floats), "exporter and layout disagree"
    return integers, flat


def _linear_groups(student: Student) -> list[list[QuantizedLinear]]:
    """Linear layers in slot order; the members of a group are stacked into one."""
    embeddings, head = student.embeddings, student.head
    attention = [*student.attention, *([embeddings.attention] if embeddings.attention is not None else [])]
    feed_forward = [*student.feed_forward, *([embeddings.feed_forward] if embeddings.attention is not None else [])]
    groups: list[list[QuantizedLinear]] = []
    for a in attention:
        groups += _attention_groups(a)
    for f in feed_forward:
        groups += [[linear] for projection in (f.up, f.down) for linear in projection.factors()]
    singles = (embeddings.projection, head.dense, head.classifier)
    return groups + [[linear] for linear in singles if linear is not None]


def _attention_groups(attention: Attention) -> list[list[QuantizedLinear]]:
    inputs: list[Projection] = [attention.query, attention.key, attention.value]
    output = [[linear] for linear in attention.output.factors()]
    if not any(projection.rank for projection in inputs):
        return [[projection.full for projection in inputs], *output]
    return [*([linear] for projection in inputs for linear in projection.factors()), *output]


def _norms(student: Student) -> list[torch.nn.Module]:
    embeddings = student.embeddings
    norms = [embeddings.norm]
    if embeddings.attention is not None:
        norms += [embeddings.attention_norm, embeddings.output_norm]
    for pair in zip(student.attention_norms, student.ffn_norms, strict=True):
        norms += pair
    return norms


def _table(weight: Tensor, bits: int) -> Tensor:
    return weight.detach().float().contiguous() if bits == 32 else packed_rows(quantize_rows(weight, bits))


def _buckets(config: StudentConfig) -> Tensor:
    """Relative bucket of every distance query − key from −(P − 1) to P − 1; empty without relative positions.

    A table, because a logarithm rounded otherwise on another processor could move a distance to its neighbour.
    """
    count, positions = config.relative_attention_buckets, config.max_position_embeddings
    if not count:
        return torch.empty(0, dtype=torch.uint8)
    pairs = relative_buckets(positions, count, config.relative_attention_max_distance)
    return torch.cat([pairs[0].flip(0), pairs[1:, 0]]).to(torch.uint8)


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
