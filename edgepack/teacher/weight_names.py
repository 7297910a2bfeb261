"""The names and shapes of a checkpoint's tensors, read before anything is loaded, and what they give away.

transformers fills what is missing with random numbers and leaves out what it does not know, with a warning at most:
a checkpoint with one head layer more, or with adapters that were never merged, is then another model. So names are
compared first. A prefix that a wrapper put before every name (`module.`, `_orig_mod.`, `model.`) is taken off, since
nothing else can be meant by it.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from edgepack.errors import InputError, bare, one_line, shown
from edgepack.teacher.families import FAMILIES, Family
from edgepack.teacher.files import PICKLES, SAFETENSORS, read_json
from edgepack.teacher.other_models import MERGE, foreign_weights

ADAPTER = re.compile(
    r"(^|[._])(lora|loha|lokr|ia3|oft|boft|vera|hada)_|(^|\.)(base_layer|modules_to_save|original_module|adapters?)\."
    r"|(^|\.)(adapter_|prompt_e|prefix_t)"
)
OWN_ADAPTER = re.compile(r"\.output\.adapter_(modules|layer_norm)\.")  # X-MOD's, one for each of its languages
QUANTIZED = re.compile(
    r"\.(absmax|quant_state|quant_map|qweight|qzeros|SCB|weight_scale|weight_zero_point|weight_packed|W_q|_data|_scale)(\.|$)"
)
BEGINNINGS = {
    b"\x1f\x8b": "packed with gzip; unpack it",
    b"<": "a page of the web, or a message of a server; download it again",
    b"GGUF": "a GGUF file; give the checkpoint that it was made from",
    b"\x89HDF": "TensorFlow's (HDF5); save the model for PyTorch",
}
SHARD = re.compile(r"^(model|pytorch_model)-\d+-of-\d+\.\w+$")  # not of a variant, as model.fp16-00001-of-00002
FLOATS = ("F64", "F32", "F16", "BF16")
OLD_NAMES = {"gamma": "weight", "beta": "bias"}  # of layer norms, in TensorFlow's time


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: its shape, and its type as safetensors names it."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class StoredWeights:
    """All tensors by the names that the files give them; `prefix` stands before every one of them."""

    tensors: Mapping[str, Stored]
    prefix: str

    def plain(self) -> dict[str, Stored]:
        """Tensors by the names that transformers has for them: no wrapper's prefix, no old names of norms."""
        return {plain_name(name.removeprefix(self.prefix)): tensor for name, tensor in self.tensors.items()}


def plain_name(name: str) -> str:
    """A tensor's name of today."""
    body, _, last = name.rpartition(".")
    return f"{body}.{OLD_NAMES[last]}" if "LayerNorm" in body and last in OLD_NAMES else name


def read_names(folder: Path, what: str, family: Family) -> StoredWeights:
    """Names and shapes out of the weight files; adapters and quantized weights among them are refused."""
    files = weight_files(folder, what)
    tensors: dict[str, Stored] = {}
    for file in files:
        try:
            found = stored_in(file)
        except Exception as e:  # a broken pickle trips torch in too many ways to list
            raise InputError(f"{what}: weights do not load: {file.name}: {_reason(e, file)}") from e
        twice = sorted(tensors.keys() & found.keys())
        if twice:
            raise InputError(f"{what}: {few(twice)} is in {file.name} and in another part; download the parts again")
        tensors |= found
    if not tensors:
        raise InputError(f"{what}: {files[0].name} holds no tensors; copy or download the checkpoint again")
    _refuse_adapters(tensors, what, family)
    _refuse_quantized(tensors, what)
    stored = StoredWeights(tensors, _prefix(tensors, what, family))
    _refuse_twins(stored, what, family)
    return stored


def weight_files(folder: Path, what: str) -> tuple[Path, ...]:
    """The files that transformers would load, in its order of preference."""
    for patterns, whole in ((SAFETENSORS, "model.safetensors"), (PICKLES, "pytorch_model.bin")):
        if (folder / whole).is_file():
            return (folder / whole,)
        if (folder / patterns[1]).is_file():
            return _shards(folder, patterns, what)
    loose = sorted(path.name for pattern in (SAFETENSORS[0], PICKLES[0]) for path in folder.glob(pattern))
    if loose:
        raise InputError(
            f"{what}: weights are in {bare(', '.join(loose))}, which transformers does not load; name one whole "
            "file model.safetensors, or add the index of the parts"
        )
    foreign = foreign_weights(folder)
    hint = f"; the folder holds {foreign.removeprefix('the folder holds ')}" if foreign else ""
    raise InputError(f"{what}: no weights; allowed: {SAFETENSORS[0]}, {PICKLES[0]}{hint}")


def _shards(folder: Path, patterns: tuple[str, ...], what: str) -> tuple[Path, ...]:
    index = patterns[1]
    parts = read_json(folder / index, what).get("weight_map")
    if not isinstance(parts, dict) or not parts or not all(isinstance(part, str) for part in parts.values()):
        raise InputError(f"{what}: {index} has no weight_map of names and files; download it again")
    names = sorted(set(parts.values()))
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise InputError(f"{what}: {index} names the part {shown(name)}, which is not in the folder; download it")
    unnamed = sorted({path.name for path in folder.glob(patterns[0]) if SHARD.match(path.name)} - set(names))
    if unnamed:
        raise InputError(
            f"{what}: {shown(unnamed[0])} looks like a part, and {index} does not name it; download the index again, "
            "or move the part away"
        )
    return tuple(folder / name for name in names)


def stored_in(file: Path) -> dict[str, Stored]:
    """Names and shapes in one file; whatever is wrong with it raises."""
    return _safetensors(file) if file.suffix == ".safetensors" else _pickle(file)


def _safetensors(file: Path) -> dict[str, Stored]:
    with safe_open(file, "pt") as opened:
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 (it is no dict)
        return {name: Stored(tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}


def _pickle(file: Path) -> dict[str, Stored]:
    """Of a pickle, which executes nothing under `weights_only` and on the meta device holds no numbers."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            packed = next((e.filename for e in archive.infolist() if e.compress_type != zipfile.ZIP_STORED), None)
        if packed is not None:  # a few kilobytes could unpack to gigabytes
            raise ValueError(f"{shown(packed)} in it is compressed, which torch.save never does; save the model again")
    document = torch.load(file, map_location="meta", weights_only=True)
    if not isinstance(document, dict):
        raise ValueError(f"it holds a {type(document).__name__}, and names with tensors are needed")
    tensors = {str(name): value for name, value in document.items() if isinstance(value, torch.Tensor)}
    inner = [str(name) for name, value in document.items() if isinstance(value, dict) and value]
    if not tensors and inner:
        raise ValueError(f"the tensors are not in it but in its entry {shown(inner[0])}; save that alone")
    kinds = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    return {name: Stored(tuple(t.shape), kinds.get(t.dtype, str(t.dtype))) for name, t in tensors.items()}


def _reason(error: BaseException, file: Path) -> str:
    """Why a file of weights does not load, without torch's advice to run what it holds."""
    with file.open("rb") as opened:
        start = opened.read(9)
    if file.suffix != ".safetensors" and start.endswith(b"{"):
        return "it is of safetensors; call it model.safetensors"
    if file.suffix == ".safetensors" and start.startswith(b"PK"):
        return "it is no safetensors but a file of torch.save; call it pytorch_model.bin"
    for begin, kind in BEGINNINGS.items():
        if start.startswith(begin):
            return f"it is {kind}"
    if isinstance(error, pickle.UnpicklingError):
        return "it holds more than tensors, which would have to be run; save the model with save_pretrained"
    return f"{one_line(error)}; copy or download the checkpoint again, or save it with save_pretrained"


def _refuse_adapters(names: Iterable[str], what: str, family: Family) -> None:
    own = OWN_ADAPTER if family.adapters else None
    found = sorted(name for name in names if ADAPTER.search(name) and not (own and own.search(name)))
    if found:
        raise InputError(
            f"{what}: its weights hold an adapter that was not merged (LoRA or its kind): {few(found)}; {MERGE}"
        )


def _refuse_quantized(tensors: Mapping[str, Stored], what: str) -> None:
    quantized = sorted(name for name in tensors if QUANTIZED.search(name))
    other = sorted(n for n, t in tensors.items() if n.endswith(("weight", "bias")) and t.dtype not in FLOATS)
    if quantized or other:
        raise InputError(
            f"{what}: its weights are quantized: {few(quantized or other)}; give the checkpoint before that"
        )


def _refuse_twins(stored: StoredWeights, what: str, family: Family) -> None:
    """`InputError` for two tensors that are one to transformers, under an old and a new name: either could be meant."""
    seen: dict[str, str] = {}
    for name in stored.tensors:
        known_as = plain_name(name.removeprefix(stored.prefix)).removeprefix(f"{family.prefix}.")
        other = seen.setdefault(known_as, name)
        if other != name:
            raise InputError(
                f"{what}: its weights hold {bare(other)} and {bare(name)}, two names of one tensor; remove the one "
                "that was not trained"
            )


def _prefix(tensors: Mapping[str, Stored], what: str, family: Family) -> str:
    """What a wrapper put before every name."""
    for name in tensors:
        if name == family.word_table or name.endswith(f".{family.word_table}"):
            prefix = name.removesuffix(family.word_table).removesuffix(f"{family.prefix}.")
            if prefix in (
                "",
                *(f"{other.prefix}." for other in FAMILIES.values()),
            ):  # `check_names` speaks of another family's
                return ""
            without = sorted(other for other in tensors if not other.startswith(prefix))
            if without:
                raise InputError(
                    f"{what}: the encoder's names begin with {shown(prefix)}, a prefix that {few(without)} lacks; "
                    "save the model inside its wrapper with save_pretrained, or strip the prefix"
                )
            return prefix
    return ""


def few(names: Sequence[str], count: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(bare(name) for name in names[:count]) + more
