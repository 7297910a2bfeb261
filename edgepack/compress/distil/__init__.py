"""Distillation: each loss of the literature in a file of its own, all looking at the same `Signals`."""
