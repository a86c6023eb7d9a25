# lanseal. "make" alone needs Go and nothing else; "make demo" and "make test"
# install what they need.

VERSION ?= 0.1.0
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

# Without these tags gin calls methods by name, and the linker keeps everything.
TAGS := nomsgpack,validator_novalidatefn,nethttpomithttp2
export GOFLAGS := -tags=$(TAGS)
BUILD := go build -trimpath -buildvcs=false
# What keeps the binary small; cross/build.go says why.
LEAN := -gcflags=all=-l -gcflags=golang.org/x/crypto/...= -gcflags=golang.zx2c4.com/wireguard/...= -gcflags=encoding/binary= -gcflags=math/bits=
LDFLAGS := -s -w -X main.version=$(VERSION)
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
PACKAGES := ./...

# Packages whose tests build namespaces: they measure time, so they do not run
# beside each other.
LAB := ./agent ./agent/lab/... ./agent/kernel ./agent/tunnel ./openwrt ./webui/test
UNIT := go list $(PACKAGES) | grep -vE '/lanseal/(agent(/lab(/.*)?|/kernel|/tunnel)?|cross/vm|openwrt|webui/test)$$'
# What measures the browser's processor time, which grows with what runs beside
# it: the test is left out there and runs by itself.
ALONE := ^TestManyOfEverythingIsSmooth$$
FUZZTIME ?= 20000x

# "make test" uses the race detector where there is a compiler for it;
# "make race" installs one.
RACE := $(shell command -v gcc >/dev/null && [ -e /usr/include/stdlib.h ] && echo -race)

# What is run by the agent, the lab and their tests, and whose package it is.
NEED_LAB := nft:nftables ip:iproute2 dnsmasq:dnsmasq-base
NEED_TEST := $(NEED_LAB) iptables:iptables ipset:ipset unshare:util-linux xz:xz-utils busybox:busybox
NEED_BENCH := $(NEED_LAB) iptables:iptables ping:iputils-ping conntrack:conntrack keepalived:keepalived
NEED_LINT := shellcheck:shellcheck shfmt:shfmt node:nodejs npm:npm
NEED_RACE := gcc:gcc,libc6-dev
NEED_VM := $(NEED_LAB) qemu-system-x86_64:qemu-system-x86 qemu-system-mips:qemu-system-mips depmod:kmod \
	mips-linux-gnu-gcc:gcc-mips-linux-gnu,libc6-dev-mips-cross gcc:gcc,libc6-dev flex:flex bison:bison bc:bc xz:xz-utils bzip2:bzip2
NEED_WEB := node:nodejs npm:npm chromium:chromium

.DEFAULT_GOAL := build
.PHONY: build lab demo bench test test-unit test-lab test-web race fuzz torture lint lint-go lint-shell lint-js tools cross packages vm vm-kernels clean help

build: ## builds bin/lanseal for this machine, static
	@echo "== building bin/lanseal"
	@CGO_ENABLED=0 $(BUILD) $(LEAN) -ldflags "$(LDFLAGS)" -o bin/lanseal ./agent

lab: build ## builds bin/lanseal-lab, which makes a lab by hand
	@echo "== building bin/lanseal-lab"
	@CGO_ENABLED=0 $(BUILD) -o bin/lanseal-lab ./agent/lab/cmd/lanseal-lab

demo: ## shows lanseal at work in a lab of namespaces, breaks it, counts leaks; KEEP=1 leaves it up
	@.ci/root.sh "make demo" "network namespaces"
	@.ci/need.sh "make demo" $(NEED_LAB)
	@$(MAKE) --no-print-directory lab
	@bin/lanseal-lab demo $(if $(KEEP),-keep)

bench: ## measures lanseal, and what is used in its place, into bench/; RUNS=3 is quick, ONLY=a,c picks
	@.ci/root.sh "make bench" "network namespaces"
	@.ci/need.sh "make bench" $(NEED_BENCH)
	@$(MAKE) --no-print-directory lab
	@bin/lanseal-lab bench $(if $(RUNS),-runs $(RUNS)) $(if $(ONLY),-only $(ONLY))

torture: ## random walks over all faults; SEED=1 SEEDS=20 STEPS=2000 LABS=4
	@.ci/root.sh "make torture" "network namespaces"
	@.ci/need.sh "make torture" $(NEED_TEST)
	@$(MAKE) --no-print-directory lab
	@echo "== killed at each change"
	@LANSEAL_LAB=require LANSEAL_EVERY_CHANGE=1 go test -count=1 -timeout 40m -run '^TestT4KilledAtAnyChange$$' ./agent
	@bin/lanseal-lab torture -seed $(or $(SEED),1) -seeds $(or $(SEEDS),20) -steps $(or $(STEPS),2000) -labs $(or $(LABS),4)

test: export LANSEAL_LAB := require
test: ## runs every test and check: 12 to 35 minutes on two cores
	@.ci/root.sh "make test" "network namespaces" "make test-unit"
	@.ci/need.sh "make test" $(NEED_TEST) $(NEED_LINT) $(NEED_WEB)
	@.ci/web.sh
	@$(MAKE) --no-print-directory lint-go lint-shell lint-js build
	@$(MAKE) --no-print-directory fuzz
	@status=0; \
		echo "== tests without the lab$(if $(RACE), with the race detector)"; \
		$(if $(RACE),CGO_ENABLED=1) go test $(RACE) -timeout 10m -skip '$(ALONE)' $$($(UNIT)) || status=1; \
		echo "== 250 devices and 10,000 events in a browser"; \
		go test -count=1 -run '$(ALONE)' ./webui || status=1; \
		vm=./cross/vm; go run ./cross/vm cached -arch x86_64,mips 2>/dev/null || vm=; \
		[ -n "$$vm" ] || echo '== no virtual machines: "make vm-kernels" makes what they boot, once'; \
		echo "== tests in the lab: some minutes"; \
		go test -count=1 -p 1 -timeout 30m $(LAB) $$vm || status=1; \
		exit $$status

test-unit: ## runs the tests that need neither root nor a lab
	@echo "== tests without the lab"
	@go test -timeout 10m -skip '$(ALONE)' $$($(UNIT))

test-lab: export LANSEAL_LAB := require
test-lab: ## runs the tests in the lab alone; RUN=TestT9 picks some
	@.ci/root.sh "make test-lab" "network namespaces"
	@.ci/need.sh "make test-lab" $(NEED_TEST)
	@$(MAKE) --no-print-directory build
	@go test -count=1 -p 1 -timeout 30m $(if $(RUN),-run '$(RUN)') $(LAB)

test-web: export LANSEAL_LAB := require
test-web: ## runs the tests of the web UI alone: a browser, axe, Prometheus; PICTURES=DIR keeps what it saw
	@.ci/root.sh "make test-web" "network namespaces"
	@.ci/need.sh "make test-web" $(NEED_LAB) $(NEED_WEB)
	@.ci/web.sh
	@$(MAKE) --no-print-directory lint-js
	@LANSEAL_PICTURES=$(PICTURES) go test -count=1 -p 1 -timeout 10m ./webui ./webui/test

race: ## runs the tests without the lab under the race detector
	@.ci/need.sh "make race" $(NEED_RACE)
	@echo "== race detector"
	@CGO_ENABLED=1 go test -race -timeout 10m -skip '$(ALONE)' $$($(UNIT))

fuzz: ## fuzzes every parser for FUZZTIME each
	@.ci/fuzz.sh $(FUZZTIME)

lint: ## gofmt, vet, staticcheck, shellcheck, shfmt, eslint, LuCI's pages
	@.ci/need.sh "make lint" $(NEED_LINT)
	@.ci/web.sh
	@$(MAKE) --no-print-directory lint-go lint-shell lint-js

lint-go:
	@echo "== gofmt, vet, staticcheck"
	@unformatted=$$(gofmt -l $(wildcard agent rules webui cross openwrt)); \
		[ -z "$$unformatted" ] || { echo "gofmt -w is needed on:" $$unformatted >&2; exit 1; }
	@go vet $(PACKAGES)
	@go vet -tags lanseal_lab ./agent
	@$(STATICCHECK) $(PACKAGES)

lint-shell:
	@echo "== shellcheck, shfmt"
	@.ci/lint-shell.sh

lint-js:
	@.ci/lint-js.sh
	@echo "== eslint, the reader of QR codes"
	@cd webui && test/node_modules/.bin/eslint -c test/eslint.config.js page test/*.js test/*.mjs
	@cd webui/test && { node --test qr.test.js >qr.log 2>&1 || { cat qr.log >&2; exit 1; }; rm -f qr.log; }

tools: ## installs what test, demo and lint run
	@.ci/need.sh "make tools" $(NEED_TEST) $(NEED_LINT) $(NEED_RACE) $(NEED_WEB)

cross: export VERSION := $(VERSION)
cross: ## builds every target of cross/targets.tsv into dist/bin, and measures them
	@.ci/need.sh "make cross" xz:xz-utils
	@go run ./cross size

packages: export VERSION := $(VERSION)
packages: ## writes .ipk, .apk and signed feeds into dist; dist/keys are made once
	@go run ./cross packages

vm: ## boots real kernels in QEMU and runs the agent there; ARCH=x86_64,mips picks some
	@.ci/root.sh "make vm" "network namespaces"
	@.ci/need.sh "make vm" $(NEED_VM) qemu-system-aarch64:qemu-system-arm
	@echo "== kernels and programs for virtual machines: minutes, once"
	@go run ./cross/vm kernels -arch '$(ARCH)'
	@go run ./cross/vm run -arch '$(ARCH)'

vm-kernels: ## gets or builds what the virtual machines of "make test" run: minutes, once
	@.ci/need.sh "make vm-kernels" $(NEED_VM)
	@echo "== kernels and programs for virtual machines: minutes, once"
	@go run ./cross/vm kernels -arch x86_64,mips

clean: ## removes what was built, and keeps the keys
	@rm -rf bin dist/bin dist/feed dist/*.ipk dist/*.apk

help: ## lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 20
