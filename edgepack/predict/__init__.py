"""A bundle that answers texts, through its own tokenizer and runtime. Measuring many answers belongs to `evidence`.

    bundle = Bundle.load("out/bundles/android-onnx")
    answer = bundle("a gripping , funny film")

`bundle.py` loads and runs it, `entities.py` reads the entities in a text, as the apps do, `answer.py` is what comes
out. `zero_shot.py` asks a bundle that judges entailment about labels of one's own, `ranking.py` puts candidates in
order. `data.py` asks it a whole data set and compares it with a teacher, `data_answers.py` is that result.
"""

from edgepack.predict.answer import Answer, Entity
from edgepack.predict.bundle import Bundle
from edgepack.predict.data import predict_data
from edgepack.predict.data_answers import DataAnswers

__all__ = ["Answer", "Bundle", "DataAnswers", "Entity", "predict_data"]
