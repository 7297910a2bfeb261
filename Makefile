# edgepack: `make demo` shows the whole flow, `make test` and `make lint` check it. All of them set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
DEMO_OUT ?= demo-out
BENCH_TEACHER ?= ../shared/models/teacher-sst2
BENCH_TRAIN ?= ../shared/data/sst2/train.tsv
BENCH_BUNDLES ?= out/bundles/android-onnx
APP_BUNDLES ?= $(DEMO_OUT)/build/bundles/android-onnx
APP_OPTIONS ?=
FUZZ ?= 1000
KILLS ?= 200

# One thread per worker: tiny models gain nothing from more, and workers would fight over the cores.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 ORT_DISABLE_TELEMETRY=1
RUN_ENV := HF_HUB_OFFLINE=1 ORT_DISABLE_TELEMETRY=1

.PHONY: demo test test-slow test-apps fuzz fuzz-tokenizers kills mutants lint format bench docs wheel clean

# Not compiled: of 18,000 modules one in five is ever imported, and Python compiles it then
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e ".[dev]"
	touch $@

demo: .venv/.ready
	$(RUN_ENV) $(BIN)/edgepack demo -o $(DEMO_OUT)

test: .venv/.ready
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: .venv/.ready
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist worksteal -m slow

# FUZZ: examples for each of 27 kinds of data file and for checkpoints; other ones each time. A quarter of an hour of one core
# at 5,000
fuzz: .venv/.ready
	$(TEST_ENV) EDGEPACK_FUZZ_EXAMPLES=$(FUZZ) $(BIN)/python -m pytest -n 2 tests/task/reading/test_fuzz.py \
	  tests/teacher/test_fuzz.py

# VOCABULARIES: folders of tokenizers, each fuzzed with 100,000 strings in Python, JavaScript, Kotlin and Swift; an hour
fuzz-tokenizers: .venv/.ready
	$(TEST_ENV) $(BIN)/python -m tests.apps.vocabularies $(VOCABULARIES)

# KILLS: builds that get a SIGKILL at a random moment; about half a minute each
kills: .venv/.ready
	$(TEST_ENV) EDGEPACK_KILLS=$(KILLS) $(BIN)/python -m pytest -s -m slow tests/builds/test_killed.py -k random

# Small changes to the gate's code, one at a time: each should fail a test. Lists the survivors, fails where fewer than
# 90 % were killed (docs/mutation.md). Half an hour to an hour on one core
mutants: .venv/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[mutants]"
	rm -rf mutants
	$(TEST_ENV) $(BIN)/mutmut run > mutants.log
	$(BIN)/python -m tests.mutants --page

# APP_BUNDLES: bundles to hold the apps to; APP_OPTIONS: --require makes a failure of what cannot run here
test-apps: .venv/.ready
	$(TEST_ENV) $(BIN)/python -m tests.apps $(APP_BUNDLES) $(APP_OPTIONS)

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy examples
	$(BIN)/lint-imports

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# BENCH_BUNDLES: ONNX bundles of this teacher to measure beside its int8 model, as out/bundles/android-onnx
bench: .venv/.ready
	$(RUN_ENV) $(BIN)/python -m benchmarks training $(BENCH_TEACHER) $(BENCH_TRAIN)
	$(RUN_ENV) $(BIN)/python -m benchmarks latency $(BENCH_TEACHER) $(BENCH_BUNDLES)

docs: .venv/.ready
	$(BIN)/python docs/generate_cli.py
	$(BIN)/python docs/generate_api.py
	$(BIN)/python docs/generate_lists.py
	$(BIN)/python docs/generate_methods.py
	$(BIN)/python docs/generate_schemas.py
	$(BIN)/python -m tests.evidence.planted

wheel: .venv/.ready
	rm -rf dist
	$(BIN)/python -m build --wheel

clean:
	rm -rf build dist mutants mutants.log example-out $(DEMO_OUT)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
