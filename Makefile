# The front door. `make help` lists what there is.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
TESTS  ?= tests
PYTEST := $(BIN)/pytest -q
# The locks name every package, so pip has nothing to work out: left to do so, it takes the newest release of a package that
# another one asks for with an extra (pydantic[email]) and then refuses it for want of a hash, as soon as there is a newer one.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps

.DEFAULT_GOAL := help
.PHONY: help run test test-full test-browser check bench format lock locale clean screenshots

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.runtime: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what Huiban needs (once) …"
	@$(INSTALL) -r requirements.lock && $(BIN)/python -m pip check --quiet --disable-pip-version-check
	@touch $@

$(VENV)/.development: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing what the tests need (once) …"
	@$(INSTALL) -r requirements-dev.lock && $(BIN)/python -m pip check --quiet --disable-pip-version-check
	@touch $@

run: $(VENV)/.runtime ## set up everything and serve the product with demo data; Ctrl-C stops it
	@$(BIN)/python -m tasks.supervisor

test: $(VENV)/.development ## the fast suite: embedded engines, and every engine whose test URL is given
	@$(PYTEST) -n 2 --dist loadgroup -m "not full and not browser" $(TESTS)

test-full: $(VENV)/.development ## properties, chaos, races at size, schemathesis
	@$(PYTEST) -n 2 --dist loadgroup -m "full" $(TESTS)

test-browser: $(VENV)/.development ## Playwright walks the console in Debian's Chromium
	@$(PYTEST) -m "browser" $(TESTS)

check: $(VENV)/.development ## ruff, mypy strict, import contracts, bandit
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --config importlinter.toml && \
	  $(BIN)/bandit -q -r server admin miniprogram_api tasks config wsgi.py -c pyproject.toml

coverage: $(VENV)/.development ## the fast suite with branch coverage
	@$(BIN)/pytest -q -n 2 --dist loadgroup --cov --cov-report=term-missing:skip-covered -m "not full and not browser" $(TESTS)

bench: $(VENV)/.development ## every benchmark; `make bench-earn` runs one
	@for file in bench/bench_*.py; do $(BIN)/python $$file || exit 1; done

bench-%: $(VENV)/.development
	@$(BIN)/python bench/bench_$*.py

format: $(VENV)/.development ## let ruff put the code in order
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

locale: $(VENV)/.runtime ## compile the message catalogues
	@$(BIN)/python -m config.locale

screenshots: $(VENV)/.development ## take the pictures of the README from a running product
	@$(BIN)/python docs/take_screenshots.py

lock: $(VENV)/.development ## work the locked dependencies out anew
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --quiet \
	  --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --quiet \
	  --custom-compile-command "make lock" --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## remove what was made here (the demo's data too)
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
