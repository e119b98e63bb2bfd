# On a bare Debian 12: `make demo` builds the program and shows what it does, `make test` runs the tests.
# Packages are installed only when one is missing (as root, or through sudo).
BUILD ?= build/release
JOBS  ?= $(shell nproc)

.PHONY: all demo test install clean setup setup-test asan

all: setup
	@cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=Release -DHONE_TESTS=OFF >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS)

demo: all
	@tools/demo.sh $(BUILD)/hone

test: setup-test
	@tools/run-tests.sh $(BUILD)

install: all
	cmake --install $(BUILD)

asan: setup-test
	@tools/run-tests.sh build/asan asan

setup:
	@mkdir -p $(dir $(BUILD))
	@tools/install-packages.sh build

setup-test:
	@mkdir -p $(dir $(BUILD))
	@tools/install-packages.sh test

clean:
	rm -rf build
