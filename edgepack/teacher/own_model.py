"""A teacher of any architecture, as its own model runs: one way to call it, and states that an encoder can learn from.

Where no layer can be carved, outputs come from the model itself. What differs between architectures is asked of the
loaded model, by running it on a few texts: whether padding changes its answers, whether it gives a hidden state of one
size for every token after every layer, and whether its first token sees those behind it.

- A model whose answers padding changes (FNet mixes all positions) is run on texts of one length at a time.
- States are normed without a gain: a student's are normed too, while those of a pre-norm model grow with depth.
- In a model that reads from left to right the last token has seen the text, and its head reads that one. A student's
  head reads the first: it learns the last token's state there.
- It runs in fp32: not every operation of every architecture has bf16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from accelerate.utils import align_module_device
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from edgepack.errors import InputError, one_line
from edgepack.teacher.checkpoint import Checkpoint
from edgepack.teacher.embedding_model import EmbeddingModel
from edgepack.teacher.model_call import call, takes_types
from edgepack.teacher.quiet import quiet_transformers

PROBE_TOKENS, PADDING = 12, 9  # of a text, and of one that is padded to it: a short one, which padding changes most
ROUNDING = 1e-5  # of a state's size: experts take a batch's tokens in another order, attention moves a state by 1e-4
SAME = 1e-3  # of the logits' size: fp32 noise, and what masks of −1e4 leave


@dataclass(frozen=True)
class Behaviour:
    """What a model shows when it runs: `states` after each layer in one size, and two traits named above."""

    states: bool
    reads_padding: bool
    reads_last: bool


@dataclass
class OwnOutput(ModelOutput):
    """`logits` (batch, labels) or (batch, seq, labels); `hidden_states`: layers + 1 of (batch, seq, H)."""

    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None


class ModelWeights(Mapping[str, Tensor]):
    """A model's parameters in fp32, each where it can be read: those that accelerate left on the disk, too."""

    def __init__(self, model: PreTrainedModel | EmbeddingModel) -> None:
        self.model = model
        self.places = {name: name.rpartition(".")[::2] for name, _ in model.named_parameters(remove_duplicate=False)}

    def __getitem__(self, name: str) -> Tensor:
        room, part = self.places[name]
        module = self.model.get_submodule(room)
        with align_module_device(module):
            tensor: Tensor = getattr(module, part).detach()
        return tensor.float()

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def words(self) -> Tensor:
        """The word table."""
        table = self.model.get_input_embeddings().weight
        return self[next(name for name, each in self.model.named_parameters() if each is table)]


class OwnModel(nn.Module):
    """The model behind a call that all teachers share."""

    def __init__(self, model: PreTrainedModel | EmbeddingModel, behaviour: Behaviour) -> None:
        super().__init__()
        self.model, self.behaviour = model, behaviour

    @property
    def config(self) -> PreTrainedConfig:
        """The model's own."""
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return torch.device("cpu") if self.from_disk else next(self.model.parameters()).device

    @property
    def from_disk(self) -> bool:
        """Whether accelerate reads parts of it from the disk each time they run, on the CPU."""
        return any(parameter.is_meta for parameter in self.model.parameters())

    @property
    def block_classes(self) -> list[str]:
        """Names of the classes of its blocks, which accelerate moves whole."""
        model = self.model.encoder if isinstance(self.model, EmbeddingModel) else self.model
        return list(model._no_split_modules or [])

    def weights(self) -> ModelWeights:
        """The model's own, by the names that it has for them."""
        return ModelWeights(self.model)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OwnModel:
        """What `.to` calls: what is read from the disk stays there."""
        if not self.from_disk:
            super()._apply(fn, recurse)
        return self

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> OwnOutput:
        """int64 `(batch, seq)`, padding on the right; fp32 outputs, whatever at padding."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None and takes_types(self.model):
            inputs["token_type_ids"] = token_type_ids
        wanted = output_hidden_states and self.behaviour.states
        with quiet_transformers(), torch.autocast(input_ids.device.type, enabled=False):
            if self.behaviour.reads_padding and not bool(attention_mask.all()):
                return self._by_length(inputs, wanted)
            return self._run(inputs, wanted)

    def _run(self, inputs: Mapping[str, Tensor], wanted: bool) -> OwnOutput:
        output = call(self.model, inputs, wanted)
        if not wanted:
            return OwnOutput(logits=output.logits)
        states = tuple(F.layer_norm(state.float(), state.shape[-1:]) for state in output.hidden_states)
        if self.behaviour.reads_last:
            last = inputs["attention_mask"].sum(1) - 1
            rows = torch.arange(len(last), device=last.device)
            states = tuple(torch.cat([state[rows, last][:, None], state[:, 1:]], 1) for state in states)
        return OwnOutput(logits=output.logits, hidden_states=states)

    def _by_length(self, inputs: Mapping[str, Tensor], wanted: bool) -> OwnOutput:
        """Texts of one length together, without padding; zeros where it was."""
        lengths = inputs["attention_mask"].sum(1)
        parts, rows = [], []
        for length in lengths.unique().tolist():
            rows.append(torch.nonzero(lengths == length)[:, 0])
            parts.append(self._run({name: tensor[rows[-1], :length] for name, tensor in inputs.items()}, wanted))
        order, seq = torch.cat(rows).argsort(), inputs["input_ids"].shape[1]

        def joined(tensors: list[Tensor]) -> Tensor:
            if tensors[0].dim() == 3:
                tensors = [F.pad(tensor, (0, 0, 0, seq - tensor.shape[1])) for tensor in tensors]
            return torch.cat(tensors)[order]

        states = None
        if wanted:
            states = tuple(joined(list(layer)) for layer in zip(*(part.hidden_states for part in parts), strict=True))
        return OwnOutput(
            logits=joined([part.logits for part in parts if part.logits is not None]), hidden_states=states
        )


def observe_model(
    model: PreTrainedModel | EmbeddingModel, checkpoint: Checkpoint, task: str, outputs: int
) -> Behaviour:
    """Run the model on two texts; `InputError` where it gives no logits of this task for ids and a mask alone.

    `outputs`: how many numbers a text, or a token, has. A text's vector is made as its pooling says, of the last token
    too, so that a student that embeds needs no state moved.
    """
    what, sizes = f"checkpoint {checkpoint.name}", checkpoint.sizes
    rows, pad = sizes.vocabulary, int(model.config.pad_token_id or 0)
    ids = torch.randint(0, rows, (2, PROBE_TOKENS), generator=torch.Generator().manual_seed(0))
    ids[ids == pad] = (pad + 1) % rows
    changed, padded, mask = ids.clone(), ids.clone(), torch.ones_like(ids)
    changed[:, 1] = (changed[:, 1] + 1) % rows  # a neighbour of the first: a window may be narrow
    padded[:, -PADDING:], mask[:, -PADDING:] = pad, 0

    def run(ids: Tensor, mask: Tensor) -> ModelOutput:
        return call(model, {"input_ids": ids, "attention_mask": mask}, True)

    try:
        table = model.get_input_embeddings().weight
        with quiet_transformers(), torch.inference_mode():
            whole, other = run(ids, torch.ones_like(ids)), run(changed, torch.ones_like(ids))
            cut = run(ids[:, :-PADDING], mask[:, :-PADDING]).logits
            filled = run(padded, mask).logits
    except Exception as e:  # whatever a model's code trips over
        raise InputError(f"{what}: the model does not run on token ids and a mask alone: {one_line(e)}") from e
    if table.dim() != 2 or len(table) < rows:
        raise InputError(f"{what}: its word table has the shape {list(table.shape)}; {rows} rows are needed")
    per_token = task == "token-classification"
    expected = (2, PROBE_TOKENS, outputs) if per_token else (2, outputs)
    if tuple(whole.logits.shape) != expected:
        raise InputError(
            f"{what}: the model gives logits of the shape {list(whole.logits.shape)}; {task} needs {list(expected)}"
        )
    filled = filled[:, :-PADDING] if per_token else filled
    size = max(float(cut.abs().max()), 1e-6)
    states = tuple(whole.hidden_states or ())
    usable = len(states) == sizes.layers + 1 and {tuple(s.shape) for s in states} == {
        (2, PROBE_TOKENS, sizes.hidden_size)
    }
    pairs = zip(states, other.hidden_states or (), strict=False)
    before = [bool((a[:, 0] - b[:, 0]).abs().max() <= ROUNDING * a.abs().max()) for a, b in pairs]
    reads_last = usable and task == "text-classification" and all(before)
    return Behaviour(usable, bool((filled - cut).abs().max() > SAME * size), reads_last)
