# Everything a newcomer needs: `make run` to see it live, `make test` to see it proved.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PEERS  := .venv-bench
TSC     = $(BIN)/node clients/js/node_modules/typescript/bin/tsc
# Test files side by side; each worker has servers of its own. `make test WORKERS=0` runs all in one process. Workers must
# name the same tests, so a set in a test's name may not be written in another order by each: hence the seed.
WORKERS ?= 3

.DEFAULT_GOAL := run
.PHONY: run test lint docs bench format proto settings reference messages types lock clean

# One stamp per set of packages, so that a second run starts at once.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit("tickhub needs Python 3.11 or newer; set PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=26'
	@touch $@

$(VENV)/.run: $(VENV)/.python pyproject.toml requirements.lock
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements-dev.lock
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.lock
	@touch $@

# The browser SDK and the dashboard run as they stand; TypeScript only checks them.
$(VENV)/.js: $(VENV)/.test clients/js/package-lock.json
	$(BIN)/npm ci --prefix clients/js --no-audit --no-fund --silent
	@touch $@

run: $(VENV)/.run
	@$(BIN)/python -m hub

test: $(VENV)/.test
	PYTHONHASHSEED=0 $(BIN)/python -W error -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.js
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/oxlint --deny-warnings --ignore-pattern '*.d.ts' clients/js hub/dashboard/assets
	$(TSC) -p clients/js
	$(TSC) -p hub/dashboard
	$(TSC) -p clients/js/tsconfig.types.json --outDir $(VENV)/types
	cmp $(VENV)/types/tickhub.d.ts clients/js/tickhub.d.ts

# The documents as a site, in site/; a link that leads nowhere is an error.
docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A test holds the generated files equal to the .proto.
proto: $(VENV)/.test
	$(BIN)/python -m grpc_tools.protoc --proto_path=. --python_out=. --pyi_out=. feeds/brokers/upstox_feed.proto

# .env.example and the tables of settings are written from schemas/settings.py; a test holds them equal.
settings: $(VENV)/.run
	$(BIN)/python -m hub.settings_table

# What the SDK's types say follows from the SDK; `make lint` holds them equal.
types: $(VENV)/.js
	$(TSC) -p clients/js/tsconfig.types.json

# The tables of codes, metrics and routes in docs/ are written from the program itself; a test holds them equal.
reference: $(VENV)/.run
	$(BIN)/python -m hub.reference_tables

# The template and the catalogues of hub/translations follow the texts in the code; a test holds them equal.
messages: $(VENV)/.run
	$(BIN)/python -m hub.extraction

# The peers live apart, and the benchmarks run without them: what is missing is named and skipped.
$(PEERS)/.bench: $(VENV)/.python pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	-$(PEERS)/bin/python -m pip install --quiet --upgrade 'pip>=26' && $(PEERS)/bin/python -m pip install --quiet --group bench
	@touch $@

bench: $(VENV)/.test $(PEERS)/.bench
	$(BIN)/python -m bench $(ARGS)

# The lock files pin what was tested; pyproject.toml says what may be used.
lock: $(VENV)/.python
	$(BIN)/python -m pip install --quiet 'uv>=0.13'
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --group test --group lint --group docs -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) $(PEERS) clients/js/node_modules site .pytest_cache .mypy_cache .ruff_cache .hypothesis
