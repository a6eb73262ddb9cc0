# Ashlar. `make help` says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)
ASHLAR := $(TARGET)/release/ashlar

.PHONY: help deps deps-lint build demo test test-long test-net lint fmt docs-cli fuzz fuzz-kernels fuzz-mutants

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

deps: ## check what a build needs; on Debian install it, when root or with passwordless sudo
	@scripts/deps.sh

deps-lint:
	@scripts/deps.sh lint

build: deps ## the `ashlar` binary, in target/release
	cargo build --release --locked --workspace

demo: build ## the whole path on this machine: post, pay, certify, kill operators, rebuild, compare
	$(ASHLAR) demo

test: deps-lint ## everything that CI runs
	@scripts/test.sh

test-long: deps-lint ## the same, and the long tests (200 payloads, …)
	@scripts/test.sh long

test-net: deps ## 8 operators on hosts of their own, over links that delay and lose packets; as root
	@scripts/test.sh net

lint: deps-lint ## formatting, clippy, documentation, licences
	@scripts/test.sh lint

fmt: ## format all sources
	cargo fmt --all

docs-cli: deps ## write docs/cli.md from the commands' own help
	ASHLAR_BLESS=1 cargo test --release --locked --workspace --test cli_reference

fuzz: deps ## all fuzz targets for 30 seconds each; FOR=60 for so many, TARGETS="a b" for these; needs nightly
	@FOR=$(FOR) scripts/fuzz.sh $(TARGETS)

fuzz-kernels: ## all kernels against each other, with counts; FOR=60 for so many seconds
	cargo run --release --locked -p ashlar-kzg --features differential,rayon --example fuzz_kernels -- $(if $(FOR),--seconds $(FOR))

fuzz-mutants: ## plants known faults in the kernels and shows that each is found
	@scripts/fuzz-mutants.sh
