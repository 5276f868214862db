# The README's two commands: `make demo` and `make test`. Both make .venv by themselves; so does `make quick`.

PYTHON ?= python3
# Choose another build of torch with `make test TORCH=torch` (plain `torch` brings CUDA on Linux).
TORCH ?= torch==2.13.0
# For pytest: two processes, each with one thread of torch, which else wait for one another on two cores.
PYTEST_FLAGS ?= -n 2
OPENCV4 := opencv-python-headless==4.10.0.84
NODE_RUNTIME := onnxruntime-node@1.30.0
export OMP_NUM_THREADS ?= 1
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
PEERS := .venv-peers

# What the installed package is made of, as one number: names, sizes and checksums, whatever the times of the files say.
CONTENT = find pyproject.toml affectkit export train -type f ! -name '*.pyc' | LC_ALL=C sort | xargs cksum | cksum

.PHONY: demo test quick fuzz docs docs-test peers web web-test wheel editable clean

demo: wheel
	mkdir -p $(DEMO)
	$(BIN)/affectkit predict samples/astronaut.mp4 -o $(DEMO)/astronaut.csv --render $(DEMO)/astronaut.mp4 --overwrite
	@echo
	@head -n 3 $(DEMO)/astronaut.csv | cut -c 1-150
	@echo
	@echo "The table:           $(DEMO)/astronaut.csv"
	@echo "How it was made:     $(DEMO)/astronaut.csv.meta.json"
	@echo "The annotated video: $(DEMO)/astronaut.mp4  <- look at this one"

test: $(VENV)/.dev wheel runtimes peers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	# The installed package is checked, not the source tree: it is what users get, export and train included.
	cd tests && ../$(BIN)/mypy --config-file ../pyproject.toml -p affectkit
	$(BIN)/pytest $(PYTEST_FLAGS)

# Other runtimes that models are held against (tests/runtimes.py): OpenCV 4, and where there is npm onnxruntime-node. What cannot
# be had here is left out, and its tests say so.
runtimes: $(VENV)/.opencv4 $(VENV)/.node

$(VENV)/.opencv4: | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --no-deps --target $(VENV)/opencv4 "$(OPENCV4)" && touch $@ \
		|| echo "make runtimes: left out, pip does not get $(OPENCV4)"

$(VENV)/.node: | $(BIN)/python
	@if command -v npm > /dev/null; then \
		npm install --prefix $(VENV)/node --ignore-scripts --no-fund --no-audit --loglevel=error "$(NODE_RUNTIME)" > /dev/null \
		&& touch $@ || echo "make runtimes: left out, npm does not get $(NODE_RUNTIME)"; fi

# While you edit: format, lint, types, and the tests that are not marked slow, on the source tree itself.
quick: editable
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	cd tests && ../$(BIN)/mypy --config-file ../pyproject.toml -p affectkit
	$(BIN)/python -P -m pytest -q -n 2 -m "not slow"

# Two minutes of mutated videos, pictures, model folders and notes; what did harm is kept in fuzz-faults/.
fuzz: $(VENV)/.dev wheel
	$(BIN)/python -P tests/media/fuzz.py --seconds 120

# The docs site, in site/: it opens from the disk and loads nothing from elsewhere. Notebooks are run, once for each state of
# the package; AFFECTKIT_DOCS=quick leaves what they put out out, while you write.
docs: $(VENV)/.docs wheel
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -P -m mkdocs build --strict
	@echo "The site: site/index.html"

# Every command and snippet of the pages, every notebook and example, the links of the site that `make docs` has built.
docs-test: docs
	$(BIN)/python -P -m pytest -q $(PYTEST_FLAGS) tests/docs

$(VENV)/.docs: pyproject.toml $(VENV)/.dev
	$(BIN)/python -m pip install --quiet ".[docs]"
	rm -f $(VENV)/.package
	touch $@

# Programs whose readers our tables are held against (tests/test_readers.py) and that do not install beside this torch: py-feat.
# They lie in an environment of their own, which sees the packages of .venv too. Tests that need it are skipped without it.
peers: $(VENV)/.dev
	@stamp="$$(cat tests/peers/*.txt | cksum) $(TORCH)"; \
	if [ "$$stamp" != "$$(cat $(PEERS)/.done 2>/dev/null)" ]; then \
		rm -rf $(PEERS) && $(BIN)/python -m venv $(PEERS) && \
		$(BIN)/python -c "import site; print(site.getsitepackages()[0])" > \
			"$$($(PEERS)/bin/python -c 'import site; print(site.getsitepackages()[0])')/beside.pth" && \
		$(PEERS)/bin/python -m pip install --quiet --no-deps -r tests/peers/alone.txt && \
		$(PEERS)/bin/python -m pip install --quiet -r tests/peers/requirements.txt "$(TORCH)" && \
		echo "$$stamp" > $(PEERS)/.done || \
		echo "make peers: left out, py-feat could not be installed (see above); its tests are skipped"; \
	fi

# The page for browsers, from TypeScript: what the package carries in export/web/. Needs node and npm, as nothing else does.
web: web/node_modules/.done
	cd web && node build.mjs

# The page in headless chromium, against Python. AFFECTKIT_WEB_FPS is the least rate that a camera has to be followed at.
web-test: AFFECTKIT_WEB_FPS ?= 15
web-test:
	@for program in node npm chromium; do \
		command -v $$program > /dev/null || { echo "make web-test: left out, there is no $$program here"; exit 0; }; \
	done; $(MAKE) --no-print-directory .web-test AFFECTKIT_WEB_FPS=$(AFFECTKIT_WEB_FPS)

.PHONY: .web-test
.web-test: web/node_modules/.done $(VENV)/.dev editable
	cd web && node build.mjs --check
	$(BIN)/python -m pip install --quiet playwright
	AFFECTKIT_WEB_FPS=$(AFFECTKIT_WEB_FPS) $(BIN)/python -P -m pytest -q -s tests/test_web.py tests/test_web_page.py

web/node_modules/.done: web/package.json web/package-lock.json
	cd web && npm ci --no-fund --no-audit --loglevel=error
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.cpu: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade ".[cpu]"
	rm -f $(VENV)/.package
	touch $@

$(VENV)/.torch: | $(BIN)/python
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.torch
	$(BIN)/python -m pip install --quiet ".[dev]"
	# Without its dependencies: they bring opencv-python, whose windows need libraries that servers lack.
	$(BIN)/python -m pip install --quiet --no-deps insightface
	rm -f $(VENV)/.package
	touch $@ $(VENV)/.cpu

# The package as users get it, unless just this content is installed so already.
# build/ may hold modules that are gone from the tree; setuptools would pack them again.
wheel: $(VENV)/.cpu
	@content="wheel $$($(CONTENT))"; \
	if [ "$$content" != "$$(cat $(VENV)/.package 2>/dev/null)" ]; then \
		rm -rf build *.egg-info && \
		$(BIN)/python -m pip install --quiet --force-reinstall --no-deps --no-cache-dir . && \
		echo "$$content" > $(VENV)/.package; \
	fi

# Links to the tree's files in place of the package, which type checkers can follow too: an edit counts at once, and only
# where files come or go the links are made again.
editable: $(VENV)/.dev
	@content="editable $$(find affectkit export train -type f ! -name '*.pyc' | LC_ALL=C sort | cat - pyproject.toml | cksum)"; \
	if [ "$$content" != "$$(cat $(VENV)/.package 2>/dev/null)" ]; then \
		rm -rf build *.egg-info && \
		$(BIN)/python -m pip install --quiet --no-deps --config-settings editable_mode=strict --editable . && \
		echo "$$content" > $(VENV)/.package; \
	fi

clean:
	rm -rf $(VENV) $(PEERS) build dist site *.egg-info $(DEMO)
