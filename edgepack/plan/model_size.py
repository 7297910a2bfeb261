"""What a planner knows of a model file that does not exist yet."""

from __future__ import annotations

from edgepack.export import ModelSize

__all__ = ["ModelSize"]
