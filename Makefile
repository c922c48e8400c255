# The same commands that CONTRIBUTING.md names and .ci/run runs.
.PHONY: build test race lint e2e ci

build:
	CGO_ENABLED=0 go build -trimpath -o layerctl ./cmd/layerctl

test:
	go test ./...

race:
	go test -race ./...

lint:
	test -z "$$(gofmt -l .)"
	go vet ./...
	staticcheck ./...

e2e: build
	test/e2e.sh ./layerctl

ci:
	bash .ci/run
