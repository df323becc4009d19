"""NNCF, post-training quantization with its defaults."""

import nncf
import onnx
import peer


def quantize(model: str, samples: peer.Samples, output: str) -> None:
    onnx.save(nncf.quantize(onnx.load(model), nncf.Dataset(list(samples))), output)


if __name__ == "__main__":
    peer.main(quantize)
