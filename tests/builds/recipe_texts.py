"""Texts of recipe files."""

from __future__ import annotations

MINE = 'base = "standard"\n'
TASK_TOKENS = "structure.vocabulary = 'task'"
ANSWERS = "phases = [{ until = 1, losses = [{ loss = 'soft_targets' }] }]"


def with_losses(losses: str) -> str:
    """A recipe with these losses from the first step to the last."""
    return f"{MINE}phases = [{{ until = 1, losses = [{losses}] }}]"
