"""neural-compressor, static quantization with its defaults. Writes its workspace where it is run."""

import sys
from collections.abc import Iterator
from pathlib import Path

import peer

# The engine's worker knows what neural-compressor misses in newer releases of onnx; it needs nothing of edgeonnx.
sys.path.append(str(Path(__file__).parents[2] / "sdk" / "edgeonnx" / "engines"))
from inc_worker import restore_mapping

restore_mapping()
from neural_compressor import PostTrainingQuantConfig, quantization  # noqa: E402


class Loader:
    batch_size = 1

    def __init__(self, samples: peer.Samples) -> None:
        self._samples = samples

    def __iter__(self) -> Iterator[tuple[peer.Feeds, int]]:
        return ((feeds, 0) for feeds in self._samples)


def quantize(model: str, samples: peer.Samples, output: str) -> None:
    config = PostTrainingQuantConfig(calibration_sampling_size=[len(samples)])
    made = quantization.fit(model, config, calib_dataloader=Loader(samples))
    if made is None:
        raise RuntimeError("neural-compressor gave no model")
    made.save(output)


if __name__ == "__main__":
    peer.main(quantize)
