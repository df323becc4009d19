"""What counts: for how many of the queries the sentence that answers it is found first."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
Predict = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def corpus() -> list[str]:
    """The sentences that are searched."""
    return (HERE / "corpus.txt").read_text("utf-8").splitlines()


def queries() -> list[tuple[str, str]]:
    """Each query and the sentence that answers it."""
    lines = (HERE / "queries.tsv").read_text("utf-8").splitlines()
    return [(query, answer) for query, answer in (line.split("\t") for line in lines)]


def found_first(predict: Predict) -> float:
    """The share of queries whose answer has the largest cosine; vectors have length 1."""
    vectors = {text: predict({"text": np.array([text])})["vector"][0] for text in [*corpus(), *dict(queries())]}
    right = [max(corpus(), key=lambda text: vectors[text] @ vectors[query]) == answer for query, answer in queries()]
    return float(np.mean(right))
