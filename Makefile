# The same commands that CONTRIBUTING.md names and .ci/run runs.
.PHONY: build documents test race lint e2e ci

build:
	CGO_ENABLED=0 go build -trimpath -tags urfave_cli_no_docs,grpcnotrace -gcflags=google.golang.org/...=-l -gcflags=github.com/urfave/...=-l -o layerctl ./cmd/layerctl

# Completions, man pages and the licences of others, as packages have them.
documents:
	rm -rf build
	mkdir -p build/completions
	go run ./cmd/layerctl completion bash >build/completions/layerctl.bash
	go run ./cmd/layerctl completion zsh >build/completions/_layerctl
	go run ./cmd/layerctl completion fish >build/completions/layerctl.fish
	go run ./cmd/layerctl manual build/man
	gzip -9n build/man/*.1
	test/notices.sh >build/THIRD-PARTY-NOTICES

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
