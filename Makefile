# The one door to the project; `make` alone lists what it can do.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
READY := $(VENV)/.installed
SOURCES := $(wildcard server tools tests benchmarks clients hatch_build.py)

# One test process more than there are cores: many tests wait for processes and browsers of theirs.
WORKERS ?= $(shell cores=$$(nproc); echo $$((cores < 8 ? cores + 1 : 8)))

# Modules are compiled once, as in an installed package, and not again by each of the thousands of starts in the tests.
unexport PYTHONDONTWRITEBYTECODE

# Further arguments for what a target runs: make test ARGS="-k sale"
ARGS ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(READY) generated ## Set up everything and serve on SQLite
	@$(BIN)/tallystick run $(ARGS)

.PHONY: till
till: $(READY) generated ## Set a till up beside `make run` and serve the cashier's screen
	@$(BIN)/python -m tools.till $(ARGS)

.PHONY: shop
shop: $(READY) generated ## Serve a webshop with rewards, with a gateway of its own
	@$(BIN)/python -m tools.shop $(ARGS)

.PHONY: demo
demo: $(READY) generated ## Play a day of sales against a server of its own
	@$(BIN)/tallystick demo $(ARGS)

.PHONY: test
test: $(READY) generated ## Run all tests; they bring their own PostgreSQL
	@TALLYSTICK_TEST_CHROMIUM="$$(sh tools/browser.sh)" && export TALLYSTICK_TEST_CHROMIUM && $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: lint
lint: $(READY) generated ## Check style, types, imports, the contract and the reference pages
	@$(BIN)/ruff format --check --quiet $(SOURCES) || { echo "make: run 'make format'" >&2; exit 1; }
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/mypy $(SOURCES)
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/python -m tools.protos lint
	@$(BIN)/python -m tools.words
	@$(BIN)/python -m tools.docs --check

.PHONY: format
format: $(READY) ## Format the Python sources
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix --quiet $(SOURCES)

.PHONY: protos
protos: $(READY) generated ## Generate server/tallystick/v1 from protos/

.PHONY: web
web: $(READY) ## Check and build the screens in clients/web
	@$(BIN)/python -m tools.web check

.PHONY: baseline
baseline: $(READY) ## Accept the present contract as the one that must not be broken
	@$(BIN)/python -m tools.protos baseline $(ARGS)

.PHONY: bench
bench: $(READY) generated ## Measure the ledger against a PostgreSQL of its own
	@$(BIN)/python -m benchmarks.ledger $(ARGS)

# Half of the seeds are hostile: tills that are copied, restored, stolen, or lie.
SEEDS ?= 1000
.PHONY: sim
sim: $(READY) generated ## Live through many seeded lives of tills and gateway: SEEDS=1000
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

.PHONY: mutants
mutants: $(READY) generated ## Plant faults and see that the simulation finds each
	@$(BIN)/python -m tests.simulation.mutants $(ARGS)

SALES ?= 100000
.PHONY: same
same: $(READY) generated ## Decide random sales at gateway, till and in simulation: SALES=100000
	@$(BIN)/python -m tests.agreement --sales $(SALES) $(ARGS)

.PHONY: golden
golden: $(READY) generated ## Write the golden vectors anew
	@$(BIN)/python -m tests.golden.regenerate $(ARGS)

.PHONY: docs
docs: $(READY) generated ## Write the reference pages from the protos
	@$(BIN)/python -m tools.docs

# The second file holds the same versions for the server alone, without the tools of development.
.PHONY: lock
lock: $(READY) ## Resolve the dependencies anew into the lock files
	@$(COMPILE) --upgrade --all-extras --group dev --output-file requirements.lock
	@$(COMPILE) --constraint requirements.lock --extra server --output-file deploy/requirements.lock

.PHONY: wheel
wheel: $(READY) generated ## Build the distribution into dist/
	@$(BIN)/python -m hatchling build --target wheel

.PHONY: venv
venv: $(READY) ## Set up .venv with everything that is needed

.PHONY: clean
clean: ## Remove all that make has made, .venv included
	@rm -rf clients/web/node_modules clients/store/tallystick_till/screen server/tallystick/card_app server/tallystick/widget
	@rm -rf $(VENV) server/tallystick/v1 build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up in three steps, each repeated only when what it depends on has changed.
$(VENV)/.made: tools/make_venv.sh
	@PYTHON="$(PYTHON)" sh tools/make_venv.sh $(VENV)
	@touch $@

$(VENV)/.locked: requirements.lock $(VENV)/.made
	@echo "Installing the locked dependencies into $(VENV)"
	@$(PIP) install --require-hashes --requirement requirements.lock
	@touch $@

$(READY): pyproject.toml hatch_build.py server/tallystick/__init__.py $(VENV)/.locked
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# The generators know by themselves whether anything is to be done, and are quick when nothing is.
.PHONY: generated
generated: $(READY)
	@$(BIN)/python -m tools.protos generate
	@$(BIN)/python -m tools.web build >/dev/null
