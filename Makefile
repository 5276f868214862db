# The README's two commands: `make demo` and `make test`. Both make .venv by themselves.

PYTHON ?= python3
# Choose another build of torch with `make test TORCH=torch` (plain `torch` brings CUDA on Linux).
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

# All that decides what is installed.
SOURCES := pyproject.toml $(shell find affectkit export train -type f -not -name '*.pyc')

.PHONY: demo test fuzz clean

demo: $(VENV)/.installed
	mkdir -p $(DEMO)
	$(BIN)/affectkit predict samples/astronaut.mp4 -o $(DEMO)/astronaut.csv --render $(DEMO)/astronaut.mp4 --overwrite
	@echo
	@head -n 3 $(DEMO)/astronaut.csv | cut -c 1-150
	@echo
	@echo "The table:           $(DEMO)/astronaut.csv"
	@echo "How it was made:     $(DEMO)/astronaut.csv.meta.json"
	@echo "The annotated video: $(DEMO)/astronaut.mp4  <- look at this one"

test: $(VENV)/.tested-with
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	# The installed package is checked, not the source tree: it is what users get, export and train included.
	cd tests && ../$(BIN)/mypy --config-file ../pyproject.toml -p affectkit
	$(BIN)/pytest

# Two minutes of mutated videos, pictures, model folders and notes; what did harm is kept in fuzz-faults/.
fuzz: $(VENV)/.tested-with
	$(BIN)/python -P tests/media/fuzz.py --seconds 120

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# build/ may hold modules that are gone from the tree; setuptools would pack them again.
$(VENV)/.installed: $(BIN)/python $(SOURCES)
	rm -rf build *.egg-info
	$(BIN)/python -m pip install --quiet --upgrade ".[cpu]"
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps --no-cache-dir .
	touch $@

$(VENV)/.torch: $(BIN)/python
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	touch $@

$(VENV)/.tested-with: $(VENV)/.torch $(VENV)/.installed
	rm -rf build *.egg-info
	$(BIN)/python -m pip install --quiet ".[dev]"
	# Without its dependencies: they bring opencv-python, whose windows need libraries that servers lack.
	$(BIN)/python -m pip install --quiet --no-deps insightface
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps --no-cache-dir .
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info $(DEMO)
