.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?= python3
JOBS ?= auto
TEST ?=
VENVS := .local/venvs
DEV := $(VENVS)/dev/bin
RUN := PYTHONPATH=.:functions $(DEV)/python
ENVIRONMENTS := $(foreach name,dev engine runtime sam,$(VENVS)/$(name)/.ready)

export SAM_CLI_TELEMETRY := 0
# Images of containers set it: each of the tests' processes would compile every module anew.
export PYTHONDONTWRITEBYTECODE :=
# A company's own certificate authority is in the system's store, as pip and curl know it.
export UV_SYSTEM_CERTS := 1

.PHONY: help
help: ## Say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1	\2/' | expand -t 18

.PHONY: setup
setup: $(ENVIRONMENTS) ## Install the tools into .local/venvs; every target that needs them does it

$(VENVS)/dev/.ready: requirements/dev.txt functions/requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, $(PYTHON) is not: make PYTHON=/path/to/python3.13 ..." >&2; exit 1; }
	@echo "setting up the project's environment"
	@[ -x $(DEV)/uv ] || { $(PYTHON) -m venv --clear $(VENVS)/dev && \
	  $(DEV)/python -m pip install --quiet --constraint requirements/dev.txt uv; }
	@$(DEV)/uv pip sync --quiet --python $(DEV)/python requirements/dev.txt
	@$(DEV)/uv pip install --quiet --python $(DEV)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENVS)/%/.ready: requirements/%.txt | $(VENVS)/dev/.ready
	@echo "setting up the environment of: $*"
	@$(DEV)/uv venv --quiet --clear --python $(DEV)/python $(VENVS)/$*
	@$(DEV)/uv pip sync --quiet --python $(VENVS)/$*/bin/python requirements/$*.txt
	@touch $@

.PHONY: demo
demo: setup ## Show it at work on a local engine: files in the bucket, items in the table
	@$(RUN) -m local.demo

.PHONY: up
up: setup ## Start a local engine with the project; SCHEMAS=DIR, PARAMETERS="KeyPrefix=a/ ...", NAME=second
	@$(RUN) -m local up --schemas "$(SCHEMAS)" --parameters "$$PARAMETERS" --name "$(NAME)"

.PHONY: down
down: setup ## End the local engine; the next `make up` goes on with its files and tables
	@$(RUN) -m local down --name "$(NAME)"

.PHONY: wipe
wipe: setup ## End the local engine and delete its files and tables
	@$(RUN) -m local wipe --name "$(NAME)"

.PHONY: unit
unit: $(VENVS)/dev/.ready ## Run every test that needs no engine
	@$(RUN) -m pytest --numprocesses $(JOBS) --dist loadgroup --timeout 600 tests/unit tests/statemachine \
	  tests/convergence --ignore tests/unit/local/test_engine.py

# JSONata's reference implementation, which a test is held against where npm can get it at once.
.local/jsonata/.ready: tests/reference/package.json tests/reference/package-lock.json
	@mkdir -p $(@D) && cp $^ $(@D)
	@if command -v node npm >/dev/null; then \
	  echo "setting up the reference implementation of JSONata"; \
	  timeout 30 npm ci --prefix $(@D) --silent --no-audit --no-fund --fetch-retries=0 >/dev/null || \
	    echo "npm cannot get jsonata: its test is left out" >&2; fi
	@touch $@

# In a first run each worker would compile every module. The functions are built meanwhile and on.
.local/compiled/.ready: | $(ENVIRONMENTS)
	@echo "compiling the tests, and building the functions beside them"
	@$(RUN) -m local build >/dev/null 2>&1 & $(RUN) -m pytest --collect-only --quiet >/dev/null
	@mkdir -p $(@D) && touch $@

# End-to-end tests wait for half of their time: two workers more than there are cores.
.PHONY: test
test: setup .local/jsonata/.ready .local/compiled/.ready ## Run every test, or some: make test TEST=tests/e2e/test_plan.py
	@jobs=$(JOBS); [ $$jobs != auto ] || jobs=$$(($$(getconf _NPROCESSORS_ONLN) + 2)); \
	$(RUN) -m pytest --numprocesses $(if $(TEST),0,$$jobs) --dist loadgroup --no-loadscope-reorder --timeout 600 \
	  $(TEST)

.PHONY: hooks
hooks: $(VENVS)/dev/.ready ## Let git run the fast checks before each commit
	@$(DEV)/pre-commit install

.PHONY: coverage
coverage: setup ## Run the tests that need no engine and print what they cover
	@$(RUN) -m pytest --numprocesses $(JOBS) --dist loadgroup --timeout 600 --cov=functions --cov=tablekeeper_cli \
	  --cov-report=term:skip-covered $(or $(TEST),tests/unit)

.PHONY: check
check: $(VENVS)/dev/.ready audit ## Lint, check types, and hold what refers to each other together
	@$(DEV)/ruff check .
	@$(DEV)/ruff format --check .
	@$(DEV)/mypy
	@PYTHONPATH=.:functions $(DEV)/lint-imports --no-logo --no-cache
	@$(DEV)/cfn-lint template.yaml
	@for folder in schemas tests/e2e/schemas; do $(RUN) -m tablekeeper_cli schemas check $$folder || exit 1; done
	@$(RUN) -m pytest -q tests/statemachine tests/unit/datasets/test_schemas.py
	@$(RUN) tools/diagram.py --check
	@$(RUN) -m tools.failure_table --check

.PHONY: audit
audit: $(VENVS)/audit/.ready ## Look for insecure settings in the template; `make check` does it too
	@TMPDIR=$(VENVS)/audit $(VENVS)/audit/bin/checkov --config-file .checkov.yaml

.PHONY: bench
bench: setup $(VENVS)/bench/.ready ## Measure, and write docs/performance.md: half an hour and more
	@$(RUN) -m tests.benchmarks
	@PYTHONPATH=. $(VENVS)/bench/bin/python -m tools.performance

.PHONY: load
load: setup $(VENVS)/bench/.ready ## Measure under load, and write docs/performance.md: half an hour and more
	@$(RUN) -m tests.benchmarks.load
	@PYTHONPATH=. $(VENVS)/bench/bin/python -m tools.performance

.PHONY: chaos
chaos: setup ## A storm over a stack of its own: make chaos OPERATIONS=1000 SEED=1
	@$(RUN) -m tests.chaos $(or $(OPERATIONS),1000) $(SEED)

.PHONY: cost
cost: setup ## Measure again what a million files cost: the tables of docs/cost.md
	@$(RUN) -m tools.cost --write

.PHONY: scale
scale: $(VENVS)/dev/.ready ## Calculate which quota is met first: the tables of docs/scale.md
	@$(RUN) -m tools.scale --write

.PHONY: build
build: setup ## Build the functions for a deployment to the local engine
	@$(RUN) -m local build

.PHONY: deploy
deploy: setup ## Build and deploy to AWS, as samconfig.toml says; SCHEMAS=DIR for datasets of your own
	@$(RUN) -m tablekeeper_cli schemas check $(or $(SCHEMAS),schemas)
	@PATH="$(CURDIR)/$(DEV):$$PATH" $(VENVS)/sam/bin/sam build
	@$(if $(SCHEMAS),$(RUN) -m local schemas --schemas $(SCHEMAS))
	@$(VENVS)/sam/bin/sam deploy

.PHONY: pins
pins: $(VENVS)/dev/.ready ## Pin the newest versions that requirements/*.in allow
	@for name in audit bench dev engine runtime sam; do \
	  $(DEV)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header \
	    --no-emit-index-url --no-emit-find-links requirements/$$name.in --output-file requirements/$$name.txt; \
	done

.PHONY: clean
clean: ## End the local engines and remove everything that was set up, built or kept
	@for file in .local/engine.json .local/stacks/*/engine.json; do \
	  if [ -e $$file ] && [ -x $(DEV)/python ]; then folder=$$(dirname $$file); \
	    $(RUN) -m local wipe --name "$$([ $$folder = .local ] || basename $$folder)"; fi; \
	done
	@rm -rf .local .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
