# What one does in this repository, a target each. `make` alone lists them.

LINT = go tool -modfile=tools/lint/go.mod golangci-lint

.DEFAULT_GOAL := help
.PHONY: help build test race vet lint fix bench openapi ci clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the commands into bin/
	go build -o bin/ ./cmd/...

test: ## Run all tests
	go test ./...

race: ## Run all tests under the race detector
	go test -race -timeout 20m ./...

vet: ## Run go vet
	go vet ./...

lint: ## Run the linters (the first run builds them)
	$(LINT) run

fix: ## Let the linters mend what they can, formatting included
	$(LINT) run --fix

bench: ## Measure the figures of the README (ten minutes)
	go run ./bench all

openapi: ## Write docs/openapi.yaml anew from the code
	go test ./internal/httpapi -run TestOpenAPI -update

ci: ## Run what CI runs
	bash .ci/run

clean: ## Remove what was built (never ./data)
	rm -rf bin
