"""Random numbers of a step: from seed and step alone, so that a resumed run and every process draw the same."""

from __future__ import annotations

import numpy as np
import torch

MASKS, SUCCESSORS, TEXT, STATES = range(4)  # what is drawn: streams of their own


def step_generator(seed: int, step: int, *stream: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for one purpose (`stream`) of one step."""
    state = np.random.SeedSequence((seed, step, *stream)).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state) >> 1)  # a signed seed
