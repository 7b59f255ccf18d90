# fwsim: `make demo` and `make test` set everything up by themselves.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
NATIVE := $(VENV)/.native

unexport PYTHONDONTWRITEBYTECODE  # the tests start many processes, which need not compile every module anew

SANITIZED := build/sanitized
NATIVE_TESTS ?= $(addprefix tests/engine/test_,native_library.py native_programs.py native_derivatives.py kernels.py dense.py recursive.py \
	rate_compiled.py rate_gradients.py) tests/spiking/test_native_run.py

.PHONY: setup demo test test-install test-sanitize test-slow results bench bench-gpu docs links lint wheel clean

setup: $(NATIVE)

$(NATIVE): setup.py fwsim/engine/native/variants.py $(wildcard fwsim/engine/native/*.?pp) | $(READY)
	$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'fwsim needs Python 3.11 or newer'"
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools torch
	FWSIM_NATIVE=none $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@
	@echo "fwsim is installed in $(VENV); now: source $(BIN)/activate"

demo: $(NATIVE)
	OMP_NUM_THREADS=1 $(BIN)/python demo.py  # the batches are small: a second thread would only wait

test: $(NATIVE)  # some tests wait for other processes, so four workers keep two cores busy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

test-install: $(NATIVE)  # in empty environments: PYTHONS="python3.11 python3.13", TORCH=torch==2.13.0
	$(BIN)/python tests/install/environments.py $(if $(TORCH),--torch "$(TORCH)") $(PYTHONS)

test-sanitize: $(NATIVE)  # the native engine with checks of memory and of undefined behaviour
	FWSIM_SANITIZE=1 $(BIN)/python setup.py --quiet build_ext --build-lib $(SANITIZED) --build-temp $(SANITIZED)/objects
	OMP_NUM_THREADS=2 FWSIM_NATIVE_FOLDER=$(SANITIZED)/fwsim/engine/native \
	  LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  $(BIN)/python -m pytest -n0 -p no:cacheprovider $(NATIVE_TESTS)

test-slow: $(NATIVE)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

lint: $(NATIVE)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

results: $(NATIVE)  # hours, from nothing; what is done is skipped
	OMP_NUM_THREADS=1 $(BIN)/python docs/results/regenerate.py $(PAGES)

bench: $(NATIVE)
	FWSIM_NATIVE=none $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

bench-gpu:  # with the Python at hand, which needs torch, triton, numpy and lazy-loader
	PYTHONPATH=. $(PYTHON) benchmarks/gpu_engine.py
	PYTHONPATH=. $(PYTHON) benchmarks/gpu_training.py

docs: $(NATIVE)  # into docs/_build/html; a warning is an error
	FWSIM_NATIVE=none $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/python docs/links.py docs/_build/html
	@echo docs/_build/html/index.html

links: $(NATIVE)  # links to other sites too; needs a network, and takes minutes
	FWSIM_NATIVE=none $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q -b linkcheck docs docs/_build/links

wheel:  # into dist/; needs g++ or clang++, where it is installed nothing does
	FWSIM_NATIVE=required $(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps -w dist .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -f fwsim/engine/native/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
