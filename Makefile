# fwsim: `make demo` and `make test` set everything up by themselves.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: setup demo test test-install test-slow results bench bench-gpu docs lint clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt setup.py
	@$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'fwsim needs Python 3.11 or newer'"
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@
	@echo "fwsim is installed in $(VENV); now: source $(BIN)/activate"

demo: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python demo.py  # the batches are small: a second thread would only wait

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-install: $(READY)  # in empty environments: PYTHONS="python3.11 python3.13", TORCH=torch==2.13.0
	$(BIN)/python tests/install/environments.py $(if $(TORCH),--torch "$(TORCH)") $(PYTHONS)

test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

results: $(READY)  # hours, from nothing; what is done is skipped
	OMP_NUM_THREADS=1 $(BIN)/python docs/results/regenerate.py $(PAGES)

bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

bench-gpu:  # with the Python at hand, which needs torch, triton, numpy and lazy-loader
	PYTHONPATH=. $(PYTHON) benchmarks/gpu_engine.py
	PYTHONPATH=. $(PYTHON) benchmarks/gpu_training.py

docs: $(READY)  # into docs/_build/html; a warning is an error
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo docs/_build/html/index.html

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
