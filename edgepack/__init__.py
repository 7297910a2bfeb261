"""edgepack: NLP transformers on phones and other edge devices, at a size an app can accept, with proof."""

from __future__ import annotations

__version__ = "0.1.0"
