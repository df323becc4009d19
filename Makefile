# Every target sets up what it needs, from Python >= 3.11, pip and make alone.
PYTHON ?= python3
VENV := .venv
DEVICE := .venv-device
BIN := $(VENV)/bin
# --without-pip: some distributions ship Python without ensurepip; pip installs into the environment from outside.
PIP = $(PYTHON) -m pip --disable-pip-version-check --quiet --python

.PHONY: help install demo test test-slow check docs bench clean

help:
	@echo "make demo       quantize a model, package it for a Raspberry Pi, run it as a device would"
	@echo "make test       the tests (make test-slow: those that take minutes)"
	@echo "make check      ruff, mypy, house rules, docs in step with the code (make docs writes the generated docs)"
	@echo "make bench      benchmarks; they print figures"

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "edgeonnx needs Python 3.11 or newer, got $$($(PYTHON) --version 2>&1); run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv --without-pip $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml
	$(PIP) $(BIN)/python install -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) $(BIN)/python install -e '.[dev]'
	@touch $@

# What a device has: numpy and onnxruntime, nothing of edgeonnx.
$(DEVICE)/.installed: $(VENV)/.python
	$(PYTHON) -m venv --without-pip $(DEVICE)
	$(PIP) $(DEVICE)/bin/python install numpy onnxruntime
	@touch $@

install: $(VENV)/.installed

demo: $(VENV)/.installed $(DEVICE)/.installed
	$(BIN)/python examples/fashion_mnist/demo.py --device-python $(DEVICE)/bin/python

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/house

docs: $(VENV)/.installed-dev
	$(BIN)/python -m tests.house.write_docs

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/runtime_overhead.py

clean:
	rm -rf $(VENV) $(DEVICE) build dist
