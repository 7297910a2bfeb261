"""A checkpoint spoiled at random: one printable line, or a teacher that answers; no traceback, in bounded time.

The same examples each time in the suite; `make fuzz FUZZ=20000` runs so many, other ones each time.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edgepack.build.before_training import app_warnings
from edgepack.errors import InputError
from edgepack.inference import predict
from edgepack.student.from_teacher import student_from_teacher
from edgepack.task.examples import Dataset, Example
from edgepack.task.tokenize import encode
from edgepack.teacher import check_sides, check_tokenizer, check_unknown, load_teacher
from tests.limits import limits
from tests.teacher.tiny import byte_level_tokenizer, write_teacher

EXAMPLES = int(os.environ.get("EDGEPACK_FUZZ_EXAMPLES", "60"))
SECONDS = 20
TEXTS = ("play the song", "Stop! é 中文 \u200b", "", "x" * 300)
FILES = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("model.safetensors", "vocab.txt"),
)
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 3, 16, 10**9, 10**30, 2**31, 2**32, 0.5, 1e30, float("inf"), float("nan")),
    *(
        "",
        " ",
        "x",
        "0",
        "left",
        "[UNK]",
        "[OOV]",
        "\x1b[31m\n",
        "\ud83d",
        "\u202e",
        "é" * 50,
        "x" * 10**5,
        "(",
        "a{1000}{1000}",
    ),
    *(
        [],
        [0],
        ["a", "b"],
        [[]],
        {},
        {"content": "a"},
        {"0": "a", "1": "b"},
        {"type": "Sequence"},
        {"type": "Lowercase"},
    ),
    *(
        "WordPiece",
        "BPE",
        "Unigram",
        "WordLevel",
        "BertTokenizer",
        "RobertaTokenizer",
        "roberta",
        "albert",
        "relu",
        "swish",
    ),
]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Checkpoints to spoil: WordPiece, byte-level BPE, and vocab.txt alone."""
    folders = [tmp_path_factory.mktemp(name) / "teacher" for name in ("bert", "roberta", "albert", "old")]
    write_teacher(folders[0])
    write_teacher(folders[1], "roberta", tokenizer=byte_level_tokenizer())
    write_teacher(folders[2], "albert", "token")
    write_teacher(folders[3], "mpnet")
    held = json.loads((folders[3] / "tokenizer.json").read_text())["model"]["vocab"]
    (folders[3] / "vocab.txt").write_text("\n".join(sorted(held, key=held.__getitem__)))
    (folders[3] / "tokenizer.json").unlink()
    return folders


def places(document: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """Every container in a document with every key or index of it."""
    if depth > 6:
        return
    keys = (
        list(document)
        if isinstance(document, dict)
        else range(min(len(document), 5))
        if isinstance(document, list)
        else ()
    )
    for key in list(keys)[:60]:
        yield document, key
        yield from places(document[key], depth + 1)


@st.composite
def spoiled(draw: st.DrawFn, document: Any) -> Any:
    """The document with one to three places changed, taken out or renamed."""
    changed = deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(changed))
        if not found:
            return draw(st.sampled_from(VALUES))
        container, key = found[draw(st.integers(0, len(found) - 1))]
        how = draw(st.sampled_from(["value", "value", "value", "delete", "rename"]))
        if how == "value":
            container[key] = deepcopy(draw(st.sampled_from(VALUES)))
        elif isinstance(container, list):
            container.insert(0, deepcopy(container[key])) if how == "rename" else container.pop(key)
        elif how == "rename":
            container[str(draw(st.sampled_from(VALUES)))[:50]] = container.pop(key)
        else:
            del container[key]
    return changed


def spoil(folder: Path, data: st.DataObject) -> None:
    """Change one or two files."""
    chosen = data.draw(st.lists(st.sampled_from(FILES), min_size=1, max_size=2, unique=True))
    for path in (folder / name for name in chosen):
        if path.suffix == ".safetensors":
            spoil_weights(path, data)
        elif path.suffix == ".json" and data.draw(st.integers(0, 9)):
            document = json.loads(path.read_text()) if path.is_file() else {"cls_token": "[CLS]", "play": 5}
            path.write_text(json.dumps(data.draw(spoiled(document))))
        elif path.is_file():
            spoil_bytes(path, data)


def spoil_weights(path: Path, data: st.DataObject) -> None:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    if not data.draw(st.integers(0, 3)) or length > len(content):
        spoil_bytes(path, data)
        return
    header = data.draw(spoiled(json.loads(content[8 : 8 + length])))
    packed = json.dumps(header).encode()
    path.write_bytes(len(packed).to_bytes(8, "little") + packed + content[8 + length :])


def spoil_bytes(path: Path, data: st.DataObject) -> None:
    content = bytearray(path.read_bytes())
    if not content or data.draw(st.booleans()):
        path.write_bytes(bytes(content[: data.draw(st.integers(0, max(0, len(content) - 1)))]))
        return
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))


def use(folder: Path) -> None:
    """What `edgepack plan` does with a teacher before it searches."""
    teacher = load_teacher(str(folder))
    tagging = teacher.task.name == "token-classification"
    examples = [
        Example(text, None, ("play", text or "x") if tagging else None, (0, 0) if tagging else 0) for text in TEXTS
    ]
    dataset = Dataset(tuple(examples), "", "")
    encoded = encode(dataset, teacher.task, teacher.tokenizer, min(32, teacher.max_length))
    for note in (
        *teacher.notes,
        *check_tokenizer(teacher, (dataset,)),
        *check_sides(teacher, (dataset,), 32),
        *check_unknown(teacher, (encoded,)),
        *app_warnings(teacher.tokenizer, [], 32),
    ):
        assert note.isprintable()
    logits = predict(teacher.load_model(), encoded)
    assert np.isfinite(logits).all()
    own = predict(student_from_teacher(teacher.load_model(), teacher.task.name), encoded)
    np.testing.assert_allclose(own, logits, atol=1e-3)


@settings(
    max_examples=EXAMPLES,
    derandomize="EDGEPACK_FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_a_spoiled_checkpoint_is_one_line_or_a_teacher(bases: list[Path], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(data.draw(st.sampled_from(bases)), Path(scratch) / "teacher"))
        spoil(folder, data)
        with limits(SECONDS):
            message = outcome(folder)
        assert message.isprintable()
        assert len(message) < 800


def outcome(folder: Path) -> str:
    """The one line that refuses the checkpoint, or nothing."""
    try:
        use(folder)
    except InputError as e:
        return str(e)
    return ""


def test_the_unspoiled_ones_are_good(bases: list[Path]) -> None:
    for folder in bases:
        use(folder)
