"""`python -m edgeonnx`."""

from edgeonnx.cli import main

main()
