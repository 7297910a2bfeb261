"""The masked-word checkpoint of a recipe's augmentation: opened and compared with the teacher, then run.

Its predictions are token ids, so its vocabulary must be the teacher's, as BERT's is that of everything fine-tuned from
BERT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForMaskedLM, PreTrainedModel

from edgepack.build.inputs import Inputs
from edgepack.compress.augmentation import Augmentation
from edgepack.compress.candidates import MaskedWords, Words
from edgepack.errors import InputError, one_line
from edgepack.teacher import (
    Checkpoint,
    load_tokenizer,
    open_checkpoint,
    position_limit,
    quiet_transformers,
)


@dataclass(frozen=True)
class MaskedModel:
    """A checkpoint with a masked-word head, not yet loaded, and its mask token."""

    checkpoint: Checkpoint
    mask_id: int


def open_masked_model(source: str, inputs: Inputs) -> MaskedModel:
    """The checkpoint, or an `InputError` where its predictions could not stand in the teacher's texts."""
    checkpoint = open_checkpoint(source)
    tokenizer = load_tokenizer(checkpoint, inputs.teacher.task.name)
    if tokenizer.get_vocab() != inputs.tokenizer.get_vocab():
        whose = "teacher's" if inputs.pairing is None else "student tokenizer's"
        raise InputError(
            f"masked_model {source}: its vocabulary is not the {whose}; give the checkpoint that the teacher was "
            "fine-tuned from, or one of the same family and vocabulary"
        )
    if tokenizer.mask_token_id is None:
        raise InputError(f"masked_model {source}: its tokenizer has no mask token; give a masked-language model")
    limit = position_limit(checkpoint, tokenizer)
    if limit < inputs.max_length:
        raise InputError(
            f"masked_model {source}: it reads {limit} tokens and the task's texts have {inputs.max_length}"
        )
    return MaskedModel(checkpoint, int(tokenizer.mask_token_id))


def check_masked_model(augmentation: Augmentation | None, inputs: Inputs) -> None:
    """Refuse a recipe's masked-word model that cannot be used, before anything is spent."""
    if augmentation is not None and augmentation.share and augmentation.masked_model is not None:
        load_head(open_masked_model(augmentation.masked_model, inputs).checkpoint)


def load_head(checkpoint: Checkpoint) -> PreTrainedModel:
    """The checkpoint with its masked-word head, which must have trained weights; in eval mode."""
    try:
        with quiet_transformers():
            head, info = AutoModelForMaskedLM.from_pretrained(
                checkpoint.folder,
                dtype=torch.float32,
                trust_remote_code=False,
                weights_only=True,
                output_loading_info=True,
            )
    except Exception as e:  # a broken file trips transformers in too many ways to list
        raise InputError(f"masked_model {checkpoint.name}: weights do not load: {one_line(e)}") from e
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise InputError(
            f"masked_model {checkpoint.name}: no masked-word head, its weights lack {missing}; "
            "give a pretrained checkpoint, not a fine-tuned one"
        )
    loaded: PreTrainedModel = head.eval()
    return loaded


def load_masked_words(model: MaskedModel, words: Words, allowed: np.ndarray, device: torch.device) -> MaskedWords:
    """Candidates from the checkpoint's masked-word head."""
    checkpoint = model.checkpoint
    head = load_head(checkpoint).to(device)
    typed = int(getattr(checkpoint.config, "type_vocab_size", 0)) > 1

    def logits(ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
        if typed:
            inputs["token_type_ids"] = types.to(device)
        found: Tensor = head(**inputs).logits
        return found

    return MaskedWords(logits, model.mask_id, words, allowed)
