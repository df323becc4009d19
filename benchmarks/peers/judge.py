"""What accuracy means in a case, for the scorer and for edgeonnx's gate alike.

- `top-1`: share of samples whose highest score is their label.
- `ranking`: sentence embeddings (mean of the token embeddings that the mask keeps). Spearman's correlation between
  the cosine similarities of all pairs of sentences and the float model's: 1 for float itself. What an embedding is
  for is to rank by similarity.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
Predict = Callable[[Arrays], Arrays]
# Arrays of an `.npz` that are no inputs: labels, and the float model's own sentence embeddings.
LABELS, REFERENCE = "labels", "reference"


class Judge:
    """Scores models of one case.

    Args:
        folder: the case's: `case.json` names its metric.
    """

    def __init__(self, folder: Path) -> None:
        self.metric = json.loads((folder / "case.json").read_text())["metric"]

    @property
    def labelled(self) -> bool:
        return self.metric == "top-1"

    def score(self, predict: Predict, samples: Path) -> float:
        """Score on an `.npz` of inputs and what they are judged by."""
        with np.load(samples) as arrays:
            known = {name: arrays[name] for name in arrays.files}
        inputs = {name: array for name, array in known.items() if name not in (LABELS, REFERENCE)}
        count = len(next(iter(inputs.values())))
        feeds = [{name: array[i : i + 1] for name, array in inputs.items()} for i in range(count)]
        if self.labelled:
            answers = [int(next(iter(predict(sample).values())).argmax()) for sample in feeds]
            return float(np.mean(np.array(answers) == known[LABELS]))
        return ranking(np.stack([embedding(predict, sample) for sample in feeds]), known[REFERENCE])


def embedding(predict: Predict, feeds: Arrays) -> np.ndarray:
    """A sentence's embedding, of length 1: shape (width,)."""
    tokens = next(iter(predict(feeds).values()))[0]
    mean = tokens[feeds["attention_mask"][0] > 0].mean(axis=0)
    return mean / np.linalg.norm(mean)


def ranking(embeddings: np.ndarray, reference: np.ndarray) -> float:
    """Spearman's correlation of the similarities of all pairs; NaN counts as none at all."""
    pairs = np.triu_indices(len(embeddings), k=1)
    ranks = [np.argsort(np.argsort((e @ e.T)[pairs])) for e in (embeddings, reference)]
    return float(np.corrcoef(*ranks)[0, 1]) if np.isfinite(embeddings).all() else 0.0
