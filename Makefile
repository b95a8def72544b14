# `make demo` and `make test` need nothing made before: they build .venv from requirements.lock (hashes) and
# contracts/node_modules from its lock file, and say what is missing if a compiler, a header or node is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

BIN := .venv/bin
NPM := npm --silent --prefix contracts

# A stamp carries the hash of what it was made from, so that a changed lock file, and nothing else, makes it again.
key = $(shell cat $(1) | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c 1-16)
VENV := .venv/.stamp-$(call key,requirements.lock pyproject.toml)
NODE := contracts/node_modules/.stamp-$(call key,contracts/package.json contracts/package-lock.json)
INTEROP := tests/interop/node_modules/.stamp-$(call key,tests/interop/package.json tests/interop/package-lock.json)

AUDIT := contracts/.venv-audit/.stamp-$(call key,contracts/requirements-audit.lock)

.PHONY: help setup demo devnet test test-python test-contracts test-interop lint format contracts contracts-check vectors bench lock clean
.PHONY: coverage test-contracts-deep slither halmos verification lock-audit

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

setup: $(VENV) $(NODE) $(INTEROP) ## build .venv and both node_modules, nothing else

demo: $(VENV) ## five peers and a chain in one process replay an order flow; ARGS="--events 400 --seed 7"
	@$(BIN)/orrange demo $(ARGS)

devnet: $(VENV) $(NODE) ## the same with one process a peer, against anvil; ARGS as for demo
	@$(BIN)/orrange devnet $(ARGS)

test: test-python test-contracts ## every test there is: Python's, then the contracts'

# The tools of npm are made first: some tests start the anvil among them, some the JavaScript of tests/interop.
test-python: $(VENV) $(NODE) $(INTEROP) ## the Python tests alone; ARGS="tests/core -k ioc"
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

test-contracts: $(NODE) ## the contracts' format, tests, fuzzing, invariants and gas figures
	$(NPM) test

test-contracts-deep: $(NODE) ## the contracts' fuzzing and invariants with many more runs; takes an hour
	$(NPM) run test:deep

coverage: $(NODE) ## what the contracts' tests reach; fails below 95 % of lines or branches in a file
	$(NPM) run coverage:check

slither: $(NODE) $(AUDIT) ## static analysis of the contracts; fails on findings that contracts/slither.triage.json does not know
	@$(NPM) run slither

# Linting is forge test's business; halmos builds with --ast, which makes a warning of ours out of each note.
halmos: $(NODE) $(AUDIT) ## prove the claims of contracts/test/*Symbolic.t.sol for all values
	@cd contracts
	export PATH="$$PWD/node_modules/@foundry-rs/forge-linux-amd64/bin:$$PATH" FOUNDRY_DENY=never FOUNDRY_LINT_LINT_ON_BUILD=false
	.venv-audit/bin/halmos --match-contract SymbolicTest --solver-timeout-assertion 60000 $(ARGS)

verification: $(NODE) ## write contracts/verification/*.json, the standard JSON input that explorers want
	@$(NPM) run verification

test-interop: $(INTEROP) ## the vectors against the independent JavaScript program, one line a file
	@node tests/interop/check.js $(ARGS)

lint: $(VENV) ## ruff, codespell, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV) ## let ruff mend and format what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

contracts: $(NODE) ## recompile the contracts and write the artifacts that the Python package carries
	$(NPM) run artifacts

contracts-check: $(NODE) ## recompile the contracts and compare them with the committed artifacts
	$(NPM) run artifacts:check

vectors: $(VENV) ## write protocol/vectors and the synthetic order flow anew
	for script in tests/vectors/emit_*.py; do $(BIN)/python "$$script"; done

bench: $(VENV) ## every benchmark with its baseline; ARGS=--json for one line a figure
	for name in codec signatures epoch engine rbsr gossip reputation prune; do $(BIN)/python -m tests.benchmarks "$$name" $(ARGS); done

# The lock must carry no download addresses, so that any index serves; the hashes say what is right.
lock: ## resolve pyproject.toml again into requirements.lock (needs uv)
	command -v uv >/dev/null || { echo "uv is missing: install it with pip install uv." >&2; exit 1; }
	uv pip compile --universal --generate-hashes --extra dev --python-version 3.11 --prerelease if-necessary-or-explicit \
		--custom-compile-command "make lock" pyproject.toml -o requirements.lock

lock-audit: ## the same for the tools that audit the contracts
	command -v uv >/dev/null || { echo "uv is missing: install it with pip install uv." >&2; exit 1; }
	cd contracts
	uv pip compile --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock-audit" \
		requirements-audit.in -o requirements-audit.lock

clean: ## remove everything that make made
	rm -rf .venv contracts/.venv-audit contracts/node_modules tests/interop/node_modules contracts/out contracts/cache contracts/verification
	rm -rf .mypy_cache .ruff_cache .import_linter_cache .hypothesis .pytest_cache *.egg-info
	find orrange_p2p protocol simulations tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV):
	@python=$$(.ci/prepare python)
	if ! $(BIN)/python -c 'import pip' 2>/dev/null; then
		echo "Building .venv with $$python from requirements.lock; the first time this takes a few minutes."
		"$$python" -m venv --clear .venv
	fi
	pip="$(BIN)/python -m pip --disable-pip-version-check"
	rm -f .venv/.stamp-*
	$$pip install --quiet --require-hashes -r requirements.lock
	$$pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

# Apart from .venv: these tools pin old versions of what the program uses.
$(AUDIT):
	@python=$$(.ci/prepare python)
	"$$python" -m venv --clear contracts/.venv-audit
	contracts/.venv-audit/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r contracts/requirements-audit.lock
	touch $@

$(NODE):
	@.ci/prepare node
	cd contracts
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch ../$@

$(INTEROP):
	@.ci/prepare node
	cd tests/interop
	npm ci --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error
	touch ../../$@
