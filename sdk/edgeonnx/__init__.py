"""edgeonnx: any ONNX model in, one verified bundle out, that runs on a named device."""
