# The front door. Every target installs what it needs from Debian packages (as root, or with sudo) and works from an
# empty cache. Compiler output, the guest kernel and the test images are kept in $MSB_BUILD_CACHE, outside the checkout.
#
#   make            the same as make help

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export HOME ?= $(shell getent passwd $$(id -u) | cut -d: -f6)
export MSB_BUILD_CACHE ?= $(HOME)/.cache/microsandbox-build
export CCACHE_DIR ?= $(MSB_BUILD_CACHE)/ccache
# Two checkouts share what ccache has: paths are made relative to the checkout before they are hashed.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export CCACHE_MAXSIZE ?= 4G
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell nproc)
export FUZZ_SECONDS ?= 60
PREFIX ?= /usr/local

.PHONY: help setup build kernel images test e2e nested demo bench compare lint format fuzz install clean
# Recipes are steps in an order; what can run side by side does so inside the tools.
.NOTPARALLEL:

help: ## this list
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):[^#]*## */\1\t/' | expand -t 12

setup: ## install the Debian packages that are missing
	@tools/setup

kernel: setup ## the guest kernel (cached; 6 to 9 minutes on two cores the first time)
	@kernel/build

build: setup ## build/msb: one file with the guest's kernel and agent inside
	@tools/build release

images: setup ## the images that tests and demo use, from Debian packages
	@tests/images/build

demo: build images ## a command in a microVM, from a registry on loopback
	@tools/demo

test: setup ## everything: unit tests (ASan, UBSan), fuzz targets, end-to-end tests
	@tools/test

e2e: build images ## the end-to-end tests alone
	@tools/build release microsandbox
	@tools/e2e

nested: build images ## the end-to-end tests on the kvm machine, in an emulated machine that has a real /dev/kvm
	@tests/nested/e2e

fuzz: setup ## every fuzz target for FUZZ_SECONDS (60) each
	@tools/fuzz

bench: build images ## measure, and print the table of docs/performance.md
	@bench/run

compare: build images ## side by side with the reference product, in the emulated machine (many minutes)
	@bench/compare

lint: setup ## format, layers, clang-tidy
	@tools/format --check
	@tools/check-layers
	@tools/tidy --all

format: setup ## clang-format on every source file
	@tools/format

install: build ## into PREFIX (/usr/local): msb, the C++ library, CMake and pkg-config files
	@cmake --build build/release --target microsandbox
	@cmake --install build/release --component library --prefix "$(PREFIX)" >/dev/null
	@install -D -m 755 build/msb "$(DESTDIR)$(PREFIX)/bin/msb"

clean: ## remove build/ (the caches stay)
	@rm -rf build
