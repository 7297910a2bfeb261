"""Distillation losses, one per file, all on the same `Signals`. The loop that they train in belongs to `train`."""
