"""Finds the sentences that are nearest in meaning. On the device: numpy, onnxruntime and onnxruntime-extensions alone.

`PYTHONPATH=build/search.edge python search.py build/search.edge "baking bread"`
"""

import sys
from pathlib import Path

import edgeonnx_runtime as er


def main(bundle: str, *queries: str) -> None:
    """Print the three best sentences for each query."""
    sentences = (Path(__file__).parent / "corpus.txt").read_text("utf-8").splitlines()
    model = er.load(bundle)
    vectors = {sentence: model(sentence) for sentence in sentences}
    for query in queries:
        wanted = model(query)
        print(query)
        scores = {sentence: wanted.similarity(vector) for sentence, vector in vectors.items()}
        for sentence in sorted(scores, key=scores.__getitem__, reverse=True)[:3]:
            print(f"  {scores[sentence]:.2f}  {sentence}")


if __name__ == "__main__":
    main(*sys.argv[1:])
