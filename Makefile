# make demo   a dancing video from examples/, from nothing but Python 3.11 and make
# make test   lint, types, tests
#
# TORCH_INDEX=URL   where PyTorch itself comes from, e.g. that of its CPU wheels on a machine without a GPU
# PYTHON=python     the Python (3.11 or newer) that .venv is made with
# PYTEST_ARGS=...   replaces the arguments of pytest

PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
TORCH_INDEX ?=
PYTEST_ARGS ?= -n 2

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO := build/demo
TRAINED_TINY := $(wildcard musedance/weights/tiny/model_index.json)

.PHONY: demo test clean

demo: .venv/installed $(if $(TRAINED_TINY),,$(DEMO)/tiny/model_index.json)
	@mkdir -p $(DEMO)
	$(BIN)/python -m musedance infer --image examples/dancer.png --music examples/beat_120bpm.mp3 \
		--prompt "a person dancing on a stage" $(if $(TRAINED_TINY),,--model $(DEMO)/tiny --steps 8) \
		--output $(DEMO)/dancer.mp4 --overwrite --preview --seed 0

$(DEMO)/tiny/model_index.json: .venv/installed
	rm -rf $(DEMO)/tiny
	$(BIN)/python -m musedance init $(DEMO)/tiny --size tiny --seed 0

test: .venv/installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest $(PYTEST_ARGS)

clean:
	rm -rf build .venv .mypy_cache .pytest_cache .ruff_cache *.egg-info

# Each stamp is written last, so that a step that failed is done again.
.venv/created:
	@test -n "$(PYTHON)" || { echo "no Python found: install Python 3.11 or pass PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: pass PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

# PyTorch goes first and alone, because it may come from an index of its own.
.venv/torch: .venv/created constraints.txt
	$(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' constraints.txt)"
	touch $@

.venv/installed: .venv/torch setup.cfg pyproject.toml
	$(PIP) install -c constraints.txt -e .
	touch $@

.venv/installed-test: .venv/installed
	$(PIP) install -c constraints.txt -e ".[test]"
	touch $@
