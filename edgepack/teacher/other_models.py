"""What a folder holds that is no fine-tuned checkpoint, and what to do about it.

People give the folder that their tool wrote. Each layout that is recognized is named with the way on; whatever is
not recognized gets the plain answer that a config.json or weights are missing.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgepack.errors import InputError, bare, shown
from edgepack.teacher.files import CONFIG, has_weights, read_json

MERGE = (
    "merge the adapter first: PeftModel.from_pretrained(base, folder).merge_and_unload().save_pretrained(NEW), and the "
    "tokenizer likewise"
)
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "pytorch_adapter.bin")
FOREIGN_WEIGHTS = {
    "tf_model.h5": "TensorFlow weights; save them for PyTorch with from_pretrained(folder, from_tf=True), "
    "transformers 4",
    "flax_model.msgpack": "Flax weights; save them for PyTorch with from_pretrained(folder, from_flax=True), "
    "transformers 4",
    "*.gguf": "a GGUF file; give the checkpoint that it was made from",
    "*.onnx": "an ONNX file; give the checkpoint that it was exported from",
    "*.ckpt": "a Lightning checkpoint; load it in its own code and save the model in it with save_pretrained",
    "*.pt": "a file of torch.save; load it in its own code and save the model with save_pretrained",
    "*.pth": "a file of torch.save; load it in its own code and save the model with save_pretrained",
    "saved_model.pb": "a TensorFlow SavedModel; give the checkpoint that it was made from",
    "zero_to_fp32.py": "parts that DeepSpeed wrote; run zero_to_fp32.py in it, and save what it makes with the model",
    "pytorch_model_fsdp*": "parts that FSDP wrote; put them together with `accelerate merge-weights`",
    "*.distcp": "parts that FSDP wrote; put them together with `accelerate merge-weights`",
    "*.ckpt.index": "a checkpoint of TensorFlow 1; convert it with transformers 4 to one of PyTorch",
    "openvino_model.xml": "an OpenVINO model; give the checkpoint that it was exported from",
    "onnx/*.onnx": "an ONNX file; give the checkpoint that it was exported from",
    "rust_model.ot": "weights for Rust; give the checkpoint that they were converted from",
    "*.pdparams": "Paddle weights; save the model for PyTorch",
    "*.npz": "weights of MLX or JAX; give the checkpoint that they were converted from",
    "*.gz": "packed files; unpack them",
    "config.cfg": "a spaCy pipeline; give the transformers checkpoint of its training, or make a teacher with "
    "`edgepack finetune`",
    "*.safetensors": "safetensors of another name; call a whole model model.safetensors",
    "*.bin": "weights of another name; call a whole model pytorch_model.bin",
}
TRAINING = (  # how files begin that a training keeps for itself
    *("training_args", "optimizer", "scheduler", "scaler", "sampler", "rng_state", "random_states"),
    *("custom_checkpoint", "dl_state_dict"),
)
MARKERS = ("modules.json", "config_setfit.json", "edgepack.json", *ADAPTER_FILES)  # fetched from the hub too
CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def refuse_other_folders(folder: Path, name: str) -> None:
    """`InputError` where the folder is something else than a checkpoint, or holds an adapter beside its weights."""
    _refuse_edgepack_output(folder, name)
    adapter = next((file for file in ADAPTER_FILES if (folder / file).is_file()), None)
    if adapter is not None:
        raise InputError(_adapter(folder, name, adapter))
    if (folder / CONFIG).is_file():
        return
    inner = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}") if not path.parent.name.startswith("."))
    for found in (
        _embedding_model(folder),
        _trainer_output(folder, inner),
        _hub_cache(folder),
        _inner_checkpoint(folder, inner),
        foreign_weights(folder),
    ):
        if found is not None:
            raise InputError(f"checkpoint {name}: {found}")
    raise InputError(f"checkpoint {name}: no config.json in the folder; give the folder of a transformers checkpoint")


def refuse_embedding_models(folder: Path, name: str) -> None:
    """`InputError` for an encoder that embeds sentences, which is no teacher; as a base for one it is fine."""
    found = _embedding_model(folder)
    if found is not None:
        raise InputError(f"checkpoint {name}: {found}")


def _embedding_model(folder: Path) -> str | None:
    if (folder / "config_setfit.json").is_file():
        return (
            "is a SetFit model: its classifier is a pickle (model_head.pkl), which edgepack never runs; make a teacher "
            "of the same encoder and data with `edgepack finetune`"
        )
    parts = [path.name for path in folder.glob("[0-9]_*") if path.is_dir()]
    if (folder / "modules.json").is_file() or "0_Transformer" in parts:
        inner = next((f" (its encoder is in {part})" for part in parts if part == "0_Transformer"), "")
        return (
            f"is a sentence-transformers model, which embeds sentences and names no class{inner}; make a teacher of "
            "its encoder with `edgepack finetune`, or make its vectors smaller with --task feature-extraction"
        )
    return None


def _refuse_edgepack_output(folder: Path, name: str) -> None:
    if not (folder / "edgepack.json").is_file():
        return
    record = read_json(folder / "edgepack.json", f"checkpoint {name}")
    if "artifacts" in record:
        made_of = (record.get("inputs") or {}).get("teacher") if isinstance(record.get("inputs"), dict) else None
        path = made_of.get("path") if isinstance(made_of, dict) else None
        hint = f", which was {shown(path)}" if isinstance(path, str) else ""
        raise InputError(
            f"checkpoint {name}: is the output of `edgepack build`; give the teacher that it began with{hint}"
        )
    raise InputError(
        f"checkpoint {name}: is a bundle, made for apps; a build begins with the fine-tuned teacher itself"
    )


def _adapter(folder: Path, name: str, file: str) -> str:
    config = read_json(folder / "adapter_config.json", f"checkpoint {name}")
    base, kind = config.get("base_model_name_or_path"), config.get("peft_type")
    what = f"{bare(kind)} adapter" if isinstance(kind, str) else "adapter"
    of = f" of {shown(base)}" if isinstance(base, str) else ""
    if has_weights(folder):
        return (
            f"checkpoint {name}: an adapter ({file}) lies beside whole weights, and nothing says whether they hold it "
            f"already; if not, {MERGE}; if they do, remove {file} and its companion"
        )
    return f"checkpoint {name}: is a {what}{of} without the model's own weights; {MERGE}"


def _trainer_output(folder: Path, inner: list[str]) -> str | None:
    found = sorted((int(match[1]), part) for part in inner if (match := CHECKPOINT.fullmatch(part)))
    adapters = [path.parent.name for path in folder.glob("checkpoint-*/adapter_config.json")]
    if not found and adapters:
        return f"is a Trainer's output with adapters in {bare(', '.join(sorted(adapters)))}; {MERGE}"
    if not found:
        return None
    last = found[-1][1]
    try:
        state = read_json(folder / last / "trainer_state.json", "")
    except InputError:  # only a hint hangs on it
        state = {}
    best = Path(str(state.get("best_model_checkpoint") or "")).name
    note = f"; the Trainer found {best} best" if CHECKPOINT.fullmatch(best) and best != last else ""
    names = ", ".join(part for _, part in found[-5:])
    return f"is a Trainer's output, with the model in {names}; give {folder.name}/{last}{note}"


def _hub_cache(folder: Path) -> str | None:
    snapshots = sorted(path for path in folder.glob("snapshots/*") if (path / CONFIG).is_file())
    return f"is a folder of the hub's cache; give snapshots/{snapshots[-1].name} in it" if snapshots else None


def _inner_checkpoint(folder: Path, inner: list[str]) -> str | None:
    adapters = sorted(path.parent.name for path in folder.glob("*/adapter_config.json"))
    if adapters and not inner:
        return f"holds adapters ({bare(', '.join(adapters))}) and no model; {MERGE}"
    if not inner:
        return None
    return f"no config.json in the folder, but in {bare(', '.join(inner))}; give that folder"


def foreign_weights(folder: Path) -> str | None:
    """What weights are there that edgepack does not read, or that lack their config."""
    if has_weights(folder) and not (folder / CONFIG).is_file():
        return "has weights and no config.json; copy the config.json that was saved with them"
    for pattern, what in FOREIGN_WEIGHTS.items():
        if any(not path.name.startswith((".", *TRAINING)) for path in folder.glob(pattern)):
            return f"the folder holds {what}"
    inner = sorted(
        path.name for path in folder.iterdir() if path.is_dir() and has_weights(path) and path.name[0] != "."
    )
    return f"the folder holds a model in {bare(', '.join(inner))}; give that folder" if inner else None
