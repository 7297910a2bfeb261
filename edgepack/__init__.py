"""edgepack: NLP transformers on phones and other edge devices, at a size an app can accept, with proof.

Importing it is quick, and makes student folders load in transformers' Auto classes and pipelines.
"""

from __future__ import annotations

from edgepack.student.registration import watch

__version__ = "0.1.0"

watch()
