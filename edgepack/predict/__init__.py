"""A bundle that answers texts, through its own tokenizer and runtime. Measuring many answers belongs to `evidence`.

    bundle = Bundle.load("out/bundles/android-onnx")
    answer = bundle("a gripping , funny film")

`bundle.py` loads and runs it, `words.py` finds the words of a text and the entities in it, as the apps do, `answer.py`
is what comes out.
"""

from edgepack.predict.answer import Answer, Entity
from edgepack.predict.bundle import Bundle

__all__ = ["Answer", "Bundle", "Entity"]
