# From nothing to a referral worklist: `make run`. Every test: `make test`. The Dagster UI: `make dev`. The clinicians'
# page: `make serve`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := HIPTRIAGE_HOME=$(CURDIR)/warehouse/demo

.PHONY: run test dev serve lint browser lock clean-demo

run: $(READY)
	@$(DEMO) $(BIN)/hiptriage demo || { code=$$?; [ $$code -eq 3 ] || exit $$code; }

test: $(READY) browser lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

dev: $(READY)
	$(DEMO) $(BIN)/hiptriage dev

serve: $(READY)
	$(DEMO) $(BIN)/hiptriage serve

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The environment, from the lock file with hashes.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@echo "setting up $(VENV) from requirements.lock (once; a few minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The tests of the UI drive Debian's Chromium; without it (and without leave to install it) they say so and are skipped.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get update -q && apt-get install -y -q --no-install-recommends chromium; } >/dev/null \
		|| echo "no chromium: the browser tests will be skipped"

# For maintainers (needs uv): pin the versions again.
lock:
	uv pip compile --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-strip-extras \
		--python-version 3.11 --extra dev pyproject.toml -o requirements.lock

clean-demo:
	rm -rf warehouse/demo
