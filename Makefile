# Two commands matter: `make demo` and `make test`. Everything else serves them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
ALLO := target/release/allo

.PHONY: help demo serve build ui test test-rust test-e2e check bench interop prove fuzz-build bootstrap bootstrap-test clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

bootstrap: ## install what a build and the demo need (Rust toolchain, espeak-ng)
	@scripts/bootstrap

bootstrap-test: ## install what the tests need besides (sipp, baresip, linphone, Kamailio, rtpengine, Python packages)
	@scripts/bootstrap --test

build: bootstrap ## build the binary
	@scripts/cargo build --locked --release -p server

demo: build ## a phone call answered by a realtime voice, with no account and no key
	@$(ALLO) demo $(DEMO_ARGS)

ui: ## build the pages of the web interface, for the next build (npm and Node)
	@scripts/ui

serve: build ## run the server with ./allo.toml
	@$(ALLO) serve --config allo.toml

check: bootstrap ## format, lints, walls and sizes
	@scripts/check

test: bootstrap ## install the test peers and run every test
	@scripts/test

test-rust: bootstrap ## only the Rust tests
	@scripts/cargo test --locked --workspace

test-e2e: bootstrap-test ui ## only the tests with real peers (ARGS="-k barge")
	@scripts/cargo build --locked -p server
	@ALLO_BIN=$(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/debug/allo e2e/.venv/bin/python -m pytest -n 4 --dist worksteal e2e $(ARGS)

bench: bootstrap-test build ## print every table of docs/performance.md, in about a quarter of an hour
	@scripts/bench-all $(ARGS)

fuzz-build: bootstrap ## build the fuzz targets and replay their corpus
	@scripts/fuzz replay

interop: bootstrap-test build ## the whole interop table, which writes docs/interop.md
	@ALLO_BIN=$(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/release/allo scripts/interop $(ARGS)

prove: bootstrap-test build ## by hand: soak, load, fuzzing, full matrices
	@scripts/prove $(ARGS)

clean: ## remove build products
	@rm -rf target e2e/.venv e2e/out
