"""edgeonnx_runtime: opens a bundle on a device and runs it, with numpy and onnxruntime alone."""
