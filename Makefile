# make demo | test | test-all | lint | clean. Each target makes .venv and installs what it needs; a second call is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export HF_HUB_OFFLINE := 1

.PHONY: demo test test-all lint clean gl supervision browser

DEMO_IMAGE := src/perceptio/assets/sample.png
DEMO_PROMPT := Which is nearer, the brown pyramid or the green pyramid?

# Image and question in; the answer, its masks and its depth map out, from the shipped nano model.
demo: $(STAMP)
	$(BIN)/perceptio ask $(DEMO_IMAGE) "$(DEMO_PROMPT)" --seg on --depth on --out out/demo

test: $(STAMP) gl
	OMP_NUM_THREADS=1 LP_NUM_THREADS=0 $(BIN)/python -m pytest -n 2 -m "not slow and not gpu"

# The slow ones too: two processes, a kill in the middle of a save, a fine-tune that must help.
test-all: $(STAMP) gl supervision browser
	OMP_NUM_THREADS=1 LP_NUM_THREADS=0 $(BIN)/python -m pytest -n 2 -m "not gpu"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

gl:
	@sh scripts/ensure_gl.sh

supervision: $(STAMP)
	@sh scripts/ensure_supervision.sh $(VENV)

browser: $(STAMP)
	@sh scripts/ensure_browser.sh $(VENV)

$(STAMP): pyproject.toml requirements/cpu.txt scripts/install.sh
	sh scripts/install.sh $(PYTHON) $(VENV)
	@touch $@

# What was made by running things. The environment stays: `rm -rf .venv` removes that too.
clean:
	rm -rf out dist build .hypothesis .pytest_cache .mypy_cache .ruff_cache
