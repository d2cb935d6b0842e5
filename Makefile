.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 8000
REGISTRIES ?=
BIN := .venv/bin
ENVIRONMENT := .venv/.installed
KAGENT := .cache/kagent/.installed
NODE := .cache/node/.installed
INSIDE := mcp_agentspawn/core/*,mcp_agentspawn/content/*,mcp_agentspawn/guards/*,mcp_agentspawn/operations/*

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: setup ## Everything on this machine: a control plane, the server on 127.0.0.1:8000/mcp (PORT=), your REGISTRIES= or a stand-in; until Ctrl-C
	@exec $(BIN)/agentspawn dev --port $(PORT) --spawn $(if $(REGISTRIES),--registries $(REGISTRIES))

demo: setup ## Two subagents from search to retirement, given work, one of a registry's entry; each step confirmed; exit 0 or 1
	@exec $(BIN)/agentspawn demo

test: setup clients lint ## Everything that CI runs
	@$(BIN)/pytest --numprocesses 3 --dist loadfile --cov --cov-report=
	@$(BIN)/coverage report --include '$(INSIDE)' --fail-under 100

lint: $(ENVIRONMENT) ## Format, lint and types
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy --no-error-summary

soak: setup clients ## The tests with their full counts
	@SOAK=1 $(BIN)/pytest --numprocesses 2 --dist loadfile

bench: setup ## Speed and memory, as ratios against the bare operation
	@$(BIN)/python -m bench.spawn
	@$(BIN)/python -m bench.hot
	@$(BIN)/python -m bench.content
	@$(BIN)/python -m bench.search
	@$(BIN)/python -m bench.delegate
	@$(BIN)/python -m bench.reconcile

quality: $(ENVIRONMENT) ## How well searches find what was meant, as the README's table
	@$(BIN)/python -m tests.quality.measure

mutate: $(ENVIRONMENT) ## Mutation testing of guards and core: 95 % of the mutants must be found out, the rest explained
	@rm -rf mutants
	@nice $(BIN)/mutmut run
	@$(BIN)/python -m tests.mutation.score

guarantees: $(ENVIRONMENT) ## docs/guarantees.md, from the table of promises and the tests that show them
	@$(BIN)/python -m tests.guarantees_document

setup: $(ENVIRONMENT) $(KAGENT) ## The environment in .venv, kagent's agent runtime and the control plane's binaries; quick when nothing changed
	@$(BIN)/python -m mcp_agentspawn.localplane --binaries-only

clients: $(NODE) ## What only tests need: MCP Inspector, the conformance suite

$(ENVIRONMENT): requirements/dev.txt requirements/build.txt
	@echo "Setting up the Python environment in .venv (about a minute, once)"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt -r requirements/build.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(KAGENT): requirements/kagent.txt
	@echo "Installing kagent's agent runtime in .cache/kagent, in which subagents run here (a minute or two, once)"
	@rm -rf .cache/kagent
	@$(PYTHON) -m venv .cache/kagent
	@.cache/kagent/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/kagent.txt
	@touch $@

$(NODE): dev/node/package.json dev/node/package-lock.json dev/node/.npmrc
	@if ! command -v npm >/dev/null; then \
	  echo "npm is not on PATH: the tests with MCP Inspector and the conformance suite are skipped"; \
	  test -z "$$CI" || { echo "CI is set, and there nothing is skipped: install npm"; exit 1; }; \
	else \
	  echo "Installing MCP Inspector and the conformance suite in .cache/node, for the tests" && \
	  rm -rf .cache/node && mkdir -p .cache/node && cp dev/node/package.json dev/node/package-lock.json dev/node/.npmrc .cache/node/ && \
	  cd .cache/node && npm ci --ignore-scripts --loglevel=error >/dev/null && touch .installed; \
	fi

.PHONY: help run demo test lint soak bench quality mutate guarantees setup clients
