"""Passes that make a graph smaller or faster and leave what it computes alone.

One a file; the list is in `optimize/plan.py`.

A pass is a function of its file's name: `(model, settings...) -> (model, rewrites)`. It works on a copy; where it finds
nothing to do, it gives back the very model it got, and 0. Its rules stand at the top of its file.

What all leave alone: names, types and order of inputs and outputs; Quantize and Dequantize, which mean something to
providers beyond their arithmetic; operators of domains that they don't know.
"""
