# sparkpod: `make help` lists the targets.
#
# FLAVOUR is one of
#   dev       glibc and the distribution's libraries: what `make` builds
#   asan      the same with AddressSanitizer and UBSan: what the unit tests run against
#   coverage  the same with gcov
#   fuzz      clang with libFuzzer, AddressSanitizer and UBSan
#   release   musl, everything static: what ships

# ARCH is the architecture of the release binary where it is not this machine's: arm64.

FLAVOUR ?= dev
override ARCH := $(filter-out $(shell dpkg --print-architecture 2>/dev/null),$(ARCH))
BUILD := build/$(FLAVOUR)$(ARCH:%=-%)
RELEASE := build/release$(ARCH:%=-%)
MODULES := common confgen probes entrypoint
SOURCES := $(sort $(foreach module,$(MODULES),$(wildcard $(module)/*.c)))
FUZZ_SOURCES := $(sort $(wildcard tests/fuzz/fuzz_*.c))
UNIT_SOURCES := $(sort $(wildcard tests/unit/test_*.c))
# Debian's own Python, which has Debian's pytest; nothing is written into the tree.
PYTEST := PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -q -p no:cacheprovider
# What `make sources` packs knows its commit.
COMMIT := $(shell cat deps/sources/commit 2>/dev/null || git rev-parse --short=12 HEAD 2>/dev/null || \
    echo unknown)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum \
            -Wformat=2 -Wwrite-strings -Werror
PACKAGES := libxml-2.0 inih libcurl libcrypto jansson libpq libmicrohttpd
CFLAGS_dev := -O2 -g -D_FORTIFY_SOURCE=2
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
               -fno-sanitize-recover=undefined
CFLAGS_coverage := -O0 -g --coverage
CFLAGS_fuzz := -O2 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
               -fno-sanitize-recover=undefined -fno-sanitize-coverage=trace-cmp
CFLAGS_release := -Os -ffunction-sections -fdata-sections -ffile-prefix-map=$(CURDIR)=.
LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_coverage := --coverage
LDFLAGS_fuzz := -fsanitize=fuzzer,address,undefined
LDFLAGS_release := -static -Wl,-Map=$(BUILD)/sparkpod.map,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=none -s

ifeq ($(FLAVOUR),release)
STATIC_PREFIX = $(eval STATIC_PREFIX := $$(shell deps/build-static $(ARCH)))$(STATIC_PREFIX)
CC = $(STATIC_PREFIX)/bin/cc
AR = $(STATIC_PREFIX)/bin/ar
LIBS = $(shell cat $(STATIC_PREFIX)/link.flags)
else
LIB_CFLAGS = $(eval LIB_CFLAGS := $$(shell pkg-config --cflags $(PACKAGES)))$(LIB_CFLAGS)
LIBS = $(eval LIBS := $$(shell pkg-config --libs $(PACKAGES)))$(LIBS)
ifeq ($(FLAVOUR),fuzz)
CC := clang
endif
endif

# char has a sign everywhere, as where the tests run.
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -I. $(WARNINGS) -fstack-protector-strong -fsigned-char \
             $(CFLAGS_$(FLAVOUR)) $(LIB_CFLAGS) $(CFLAGS)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY := $(BUILD)/sparkpod.a
UNIT_TESTS := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/unit/%)
FUZZ_TARGETS := $(FUZZ_SOURCES:tests/fuzz/%.c=$(BUILD)/%)

.PHONY: all help install-build binary run check unit asan coverage integration integration-release \
        integration-arm64 \
        integration-asan static sbom sources images check-images chart check-chart e2e bench \
        bench-init bench-start bench-e2e bench-scale fuzz fuzz-targets lint format clean

all: install-build ## build build/dev/sparkpod (the default)
	@$(MAKE) --no-print-directory binary

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

install-build:
	@deps/install build

binary: $(BUILD)/sparkpod

$(BUILD)/sparkpod: $(BUILD)/entrypoint/main.o $(LIBRARY)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS_$(FLAVOUR)) -o $@ $^ $(LIBS)

$(LIBRARY): $(filter-out %/main.o,$(OBJECTS))
	@rm -f $@ && $(AR) rcsD $@ $^

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/probes/page.o: probes/page.css

ifeq ($(FLAVOUR),release)
$(OBJECTS): deps/lock deps/build-static
endif

# Only what names the commit is built anew when it changes.
$(BUILD)/common/version.o: ALL_CFLAGS += -DSPARKPOD_COMMIT='"$(COMMIT)"'
$(BUILD)/common/version.o: $(BUILD)/commit
$(BUILD)/commit: FORCE
	@mkdir -p $(@D)
	@echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' > $@
FORCE:

$(BUILD)/unit/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(ALL_CFLAGS) -MMD -MP $(LDFLAGS_$(FLAVOUR)) -o $@ $< $(LIBRARY) -lcriterion $(LIBS)

fuzz-targets: $(FUZZ_TARGETS)

$(FUZZ_TARGETS): $(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/fuzz.o $(LIBRARY)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS_fuzz) -o $@ $^ $(LIBS)

# fuzz_ini brings its own fopen(). What the targets themselves do is not for libFuzzer to learn.
$(BUILD)/fuzz_ini: LDFLAGS_fuzz += -Wl,--wrap=fopen
$(BUILD)/tests/fuzz/%.o: CFLAGS_fuzz += -fno-sanitize=fuzzer-no-link

-include $(OBJECTS:.o=.d) $(UNIT_TESTS:=.d) $(wildcard $(BUILD)/tests/fuzz/*.d)

run: ## start a Thrift Server through sparkpod, run a query, leave it serving
	@echo "This builds sparkpod, starts a Spark Thrift Server under it, runs a query on it and leaves it"
	@echo "serving until Ctrl-C."
	@tests/rig/fetch --missing spark
	@deps/install build run
	@$(MAKE) --no-print-directory binary
	@exec tests/rig/demo

check: ## install what is missing, build, run every test that one machine can run
	@tests/check

unit: $(UNIT_TESTS) ## the unit tests of this FLAVOUR
	@tests/run-unit $(UNIT_TESTS)

asan: ## the unit tests under AddressSanitizer and UBSan
	@deps/install build test
	@$(MAKE) --no-print-directory FLAVOUR=asan binary unit

coverage: ## line coverage of the unit tests
	@deps/install build test
	@$(MAKE) --no-print-directory FLAVOUR=coverage unit
	@tests/coverage build/coverage

integration: ## the tests against real servers
	@tests/rig/fetch --missing all
	@deps/install build test run
	@tests/rig/fetch all >/dev/null
	@$(MAKE) --no-print-directory binary
	@$(PYTEST) tests/integration

# What needs no JVM is run against the binary that ships as well.
integration-release: static
	@deps/install test
	@SPARKPOD=build/release/sparkpod $(PYTEST) tests/integration/test_battery.py \
	    tests/integration/test_pid1.py tests/integration/test_command_line.py \
	    tests/integration/test_install.py tests/integration/test_render_*.py \
	    tests/integration/test_server.py tests/integration/test_leftovers.py \
	    tests/integration/test_drain.py

# What needs neither JVM nor strace is run against the one for linux/arm64, under QEMU.
integration-arm64:
	@deps/install test arm64
	@$(MAKE) --no-print-directory ARCH=arm64 static
	@SPARKPOD=tests/rig/sparkpod-arm64 $(PYTEST) tests/integration/test_command_line.py \
	    tests/integration/test_render_faults.py

# PID 1 under sanitizers.
integration-asan:
	@deps/install build test
	@$(MAKE) --no-print-directory FLAVOUR=asan binary
	@SPARKPOD=build/asan/sparkpod $(PYTEST) tests/integration/test_battery.py

static: ## build build/release/sparkpod: musl, static, checked (ARCH=arm64: build/release-arm64)
	@deps/install static $(ARCH)
	@$(MAKE) --no-print-directory FLAVOUR=release $(RELEASE)/sparkpod.cdx.json
	@deps/verify-static $(RELEASE)/sparkpod

# Beside it: what is linked in (CycloneDX), and the licence of each part.
$(BUILD)/sparkpod.cdx.json: $(BUILD)/sparkpod deps/sbom
	@rm -rf $(BUILD)/licenses && cp -r $(STATIC_PREFIX)/share/licenses $(BUILD)
	@install -D -m 644 LICENSE $(BUILD)/licenses/sparkpod/LICENSE
	@deps/sbom $(STATIC_PREFIX) $(BUILD)/sparkpod.map $< $(COMMIT) > $@.new && mv $@.new $@

sbom: static ## build/release/sparkpod.cdx.json: what is linked in, and build/release/licenses

sources: static ## build/release/sparkpod-….tar: the exact sources, to build and relink the same
	@deps/pack-sources "$$(deps/build-static $(ARCH))" $(RELEASE)

images: ## build the images with docker, podman or buildah
	@images/build

check-images: ## build the images on stand-ins of their bases, and run them
	@deps/install images test
	@tests/images/build
	@$(PYTEST) tests/images

chart: ## write helm/values.schema.json and helm/README.md from helm/values.yaml
	@deps/install chart
	@tests/chart/figures --write
	@tests/chart/generate

check-chart: ## lint the chart, render it for every Kubernetes, check what came out
	@deps/tool --missing all
	@deps/install build chart
	@tests/chart/schemas --missing
	@$(MAKE) --no-print-directory binary
	@tests/chart/check

e2e: ## a Kubernetes on this machine, or that of KUBECONFIG, and the chart on it (docs/e2e.md)
	@tests/e2e/run

bench: static ## speed and memory beside peers: docs/benchmarks.md, docs/bench-*.svg
	@tests/rig/fetch --missing spark && tests/rig/fetch --missing metastore
	@deps/install bench run
	@for each in start_up render init probe wait cold_start; do tests/bench/$$each || exit; done
	@tests/bench/report

bench-init: static ## PID 1 beside tini, dumb-init and catatonit: the cases, into docs/benchmarks.md
	@deps/install bench
	@tests/bench/init --cases
	@tests/bench/report

bench-start: static ## where the time of a start goes: docs/start-timeline.svg
	@tests/rig/fetch --missing spark && tests/rig/fetch --missing metastore
	@deps/install bench run
	@tests/bench/timeline

bench-e2e: static ## the chart on a Kubernetes on this machine: into docs/benchmarks.md
	@deps/install e2e images chart test bench
	@tests/images/build
	@tests/bench/kubernetes
	@tests/bench/report

bench-scale: static ## 10,000 executors and statements, 500 sessions: writes the tables of docs/scale.md
	@deps/install build run chart
	@deps/tool --missing helm
	@tests/rig/fetch --missing spark
	@tests/bench/scale build/release/sparkpod

fuzz: ## libFuzzer on the parsers, FUZZ_S seconds (60) or FUZZ_RUNS executions each
	@FUZZ_S='$(FUZZ_S)' FUZZ_RUNS='$(FUZZ_RUNS)' tests/fuzz/run

lint: ## format, clang-tidy, cppcheck, -fanalyzer, shellcheck, banned functions
	@deps/install build lint
	@tests/lint

format: ## let clang-format write
	@clang-format -i $(SOURCES) $(wildcard $(MODULES:%=%/*.h) tests/*/*.[ch])

clean: ## remove build/
	@rm -rf build
