# Two commands do all the set-up: `make demo` co-trains the quickstart, `make test` runs the tests.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check slow start-weights clean

demo: $(VENV)/ready
	$(BIN)/stylematte run configs/quickstart.yaml

test: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Style, types of the loop, import contracts.
check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Kills the loop at twenty random moments, and other tests that take minutes; layer diffusion, with its extra.
slow: $(VENV)/ready $(VENV)/layerdiffuse/ready
	$(BIN)/python -m pytest -m slow
	$(VENV)/layerdiffuse/bin/python -m pytest tests/stylematte/generators/test_layerdiffuse.py

# The generators that the quickstart starts from, made anew: about 10 minutes on 2 idle cores.
start-weights: $(VENV)/ready
	$(BIN)/stylematte run configs/start.yaml
	rm -rf runs/start-weights
	$(BIN)/stylematte export runs/start -o runs/start-weights --start-weights
	cp -r runs/start-weights/. configs/start/

$(VENV)/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found: apt-get install python3 python3-venv, or make PYTHON=/path/to/python"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make environments: apt-get install python3-venv"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# The extra `layerdiffuse` in an environment of its own on top of the other one: transformers in that one would make
# torchmetrics, and so every process, start five seconds later.
SITE := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
$(VENV)/layerdiffuse/ready: $(VENV)/ready
	$(BIN)/python -m venv --clear $(VENV)/layerdiffuse
	$(BIN)/python $(SITE) > "$$($(VENV)/layerdiffuse/bin/python $(SITE))/main.pth"
	$(VENV)/layerdiffuse/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt diffusers transformers
	touch $@

clean:
	rm -rf $(VENV)
