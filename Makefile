.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
ENVIRONMENT := .venv/.installed

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(ENVIRONMENT): requirements/dev.txt requirements/build.txt pyproject.toml
	@echo "Setting up the Python environment in .venv (about a minute, once)"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt -r requirements/build.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(ENVIRONMENT) ## The environment in .venv and the control plane's binaries; quick when nothing changed
	@$(BIN)/python -m mcp_agentspawn.localplane --binaries-only

.PHONY: help setup
