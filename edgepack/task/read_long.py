"""Texts with more tokens than a model takes: cut, or read whole in windows, and what a person is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tokenizers import Tokenizer

from edgepack.task.encoded import Encoded
from edgepack.task.examples import Dataset
from edgepack.task.task import Task
from edgepack.task.tokenize import lengthen
from edgepack.task.windows import Windows

if TYPE_CHECKING:  # not there in a light installation
    from transformers import PreTrainedTokenizerFast

LongTexts = Literal["cut", "windows"]


@dataclass(frozen=True, eq=False)
class LongRead:
    """A data set as it is read: `windows` None where long texts are cut. `longer`: how many such texts there are."""

    encoded: Encoded
    windows: Windows | None
    longer: int

    def describe(self, what: str, length: int, windows_help: bool) -> str | None:
        """What is done with them, where there are some, or windows were asked for; `windows_help`: whether they can be.

        `what`: which data; `length`: of the longest input, in tokens.
        """
        said = f"{self.longer} of {len(self.encoded)} {what} texts have more than {length} tokens"
        if self.windows is not None:
            return f"{said}; long texts are read whole, in {self.windows.describe()}"
        advice = "; --long-texts windows reads them whole" if windows_help else ""
        return f"{said}: they are cut there{advice}" if self.longer else None


def read_long(
    encoded: Encoded,
    data: Dataset,
    task: Task,
    tokenizer: Tokenizer | PreTrainedTokenizerFast,
    length: int,
    asked: LongTexts | None,
) -> LongRead:
    """How texts of more than `length` tokens are read; `encoded`: the data, cut at that length or behind it.

    As asked; else words of long texts in windows, since behind a cut they would have no tag, and long texts that have
    a label are cut, as their teachers were trained.
    """
    windows = task.windows(length)
    whole = lengthen(encoded, data, task, tokenizer, windows)
    longer = int((whole.lengths > length).sum())
    if asked == "windows" or (asked is None and task.is_tagging and longer):
        return LongRead(whole, windows, longer)
    return LongRead(encoded, None, longer)
