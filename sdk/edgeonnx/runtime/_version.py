"""The release of the runtime, and the oldest onnxruntime it was run with; defined here and nowhere else."""

__version__ = "0.1.0"

OLDEST_ONNXRUNTIME = "1.19"
