# Cairn: verbs over Meson and Ninja.  `make help` lists them.
#
# BUILD   build folder (build)          PREFIX, DESTDIR   for install
# ARGS    passed on by run, bench       T, SECS           fuzz target and its time
# SEED, STEPS, SCENARIO  of sim         HOURS             of sim-marathon

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
ARGS ?=
SECS ?= 600
JOBS ?= $(shell nproc)
SEED ?= 1
STEPS ?=
SCENARIO ?=
HOURS ?= 1
MESON_OPTS ?=

.DEFAULT_GOAL := all
.PHONY: all help deps run cluster test unit e2e sim sim-marathon sim-mutants check format bench fuzz interop install asan tsan cov clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j $(JOBS)

help:
	@sed -n 's/^## //p' Makefile

## all      build into build/, binaries in build/bin/ (the default)
$(BUILD)/build.ninja: | deps
	@meson setup $(BUILD) --prefix $(PREFIX) $(MESON_OPTS)

## deps     install the Debian packages that are missing (root or sudo)
deps:
	@tools/deps.sh build

## run      a single member on 127.0.0.1:2379, data in ./default.etcd
run: all
	@exec $(BUILD)/bin/cairn $(ARGS)

## cluster  three members over TLS on this machine, data and certificates in ./cluster.etcd
cluster: all
	@tools/deps.sh cluster
	@exec tools/cluster.py --build $(BUILD) $(ARGS)

## test     everything that fits in about 20 minutes on two cores; what .ci/run calls
test:
	@tools/deps.sh build test
	@$(MAKE) --no-print-directory all
	@tools/run_tests.py --build $(BUILD)

## unit     unit and crash tests only
unit: all
	@tools/run_tests.py --build $(BUILD) --only unit,crash

## e2e      end-to-end tests only
e2e: all
	@tools/run_tests.py --build $(BUILD) --only e2e

## sim      a whole cluster under one seed: make sim SEED=7 [STEPS=100000] [SCENARIO=name]; trace in build/sim/trace.txt
sim: all
	@$(BUILD)/sim/simulator --seed $(SEED) $(if $(STEPS),--steps $(STEPS)) \
	  $(if $(SCENARIO),--scenario $(SCENARIO)) --trace $(BUILD)/sim/trace.txt

## sim-marathon  seed after seed for HOURS hours on all cores; failures say how to replay them
sim-marathon: all
	@tools/sim_marathon.py --build $(BUILD) --hours $(HOURS)

## sim-mutants   breaks rules of the sources on purpose, one at a time: the simulator must find each
sim-mutants: all
	@tools/sim_mutants.py $(ARGS)

## check    formatting, layers, function length, READMEs, clang-tidy
check:
	@tools/deps.sh build check
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@tools/check.py --build $(BUILD)

## format   run clang-format over the tree
format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

## bench    rates, latencies, CPU and memory beside the real etcd, in alternating pairs (ARGS=--quick)
bench: all
	@tools/deps.sh build bench
	@python3 test/bench/bench.py --build $(BUILD) $(ARGS)

## fuzz     one libFuzzer target for SECS seconds: make fuzz T=bolt_open SECS=600 (all without T)
fuzz:
	@tools/deps.sh build fuzz
	@tools/fuzz.sh "$(T)" $(SECS)

## interop  hand-over, side by side and differential fuzz with real etcd 3.5, 3.6, 3.7 (Go needed)
interop: all
	@test/interop/run.sh $(BUILD)

## asan     the unit and crash tests under address and undefined behaviour sanitizers
asan:
	@tools/deps.sh build
	@[ -f build-asan/build.ninja ] || meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false --buildtype=debugoptimized
	@ninja -C build-asan -j $(JOBS) && tools/run_tests.py --build build-asan --only unit,crash

## tsan     the unit tests and a load on a server under the thread sanitizer
tsan:
	@tools/deps.sh build
	@[ -f build-tsan/build.ninja ] || meson setup build-tsan -Db_sanitize=thread -Db_lundef=false --buildtype=debugoptimized
	@ninja -C build-tsan -j $(JOBS) && TSAN_OPTIONS="halt_on_error=1 exitcode=66 $$TSAN_OPTIONS" tools/run_tests.py --build build-tsan --only unit && \
	  python3 test/tsan/load.py --build build-tsan

## cov      line coverage of the unit tests (build-cov/coverage.txt)
cov:
	@tools/deps.sh build cov
	@[ -f build-cov/build.ninja ] || meson setup build-cov -Db_coverage=true
	@ninja -C build-cov -j $(JOBS) && tools/run_tests.py --build build-cov --only unit,crash && tools/cov.sh build-cov

## install  into $(DESTDIR)$(PREFIX)
install: $(BUILD)/build.ninja
	@meson configure $(BUILD) --prefix $(PREFIX) # a build folder may have been set up for another
	@ninja -C $(BUILD) -j $(JOBS)
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir $(DESTDIR))

## clean    remove the build folders
clean:
	@rm -rf build build-asan build-tsan build-cov build-fuzz
