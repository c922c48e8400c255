# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # for scripts that source this
#
# A containerd of a test's own, below $work: what the scripts that start one share,
# from their first argument, the command layerctl, to what they leave behind at their
# end. They source it before they do anything else. The commands are built from the Go
# module proxy, or taken from $LAYERCTL_ENGINES.

layerctl=$(realpath "$1")
cd "$(dirname "$0")/.." || exit
images=$(realpath "${LAYERCTL_TEST_IMAGES:?names the directory that holds alpine-3.20}")
work=$(mktemp -d)
# shellcheck source=test/compare.sh
. test/compare.sh
bin=${LAYERCTL_ENGINES:-$work/bin}
into=containerd=$work/c.sock
engine=

say() { local script=${0##*/}; echo "${script%.sh}: $* (${SECONDS}s)"; }
ctr() { "$bin/ctr" -a "$work/c.sock" -n "${namespace:-k8s.io}" "$@"; }
# an_image NAME OPTION…: one of engine-image.py's, in $work/NAME.
an_image() { test/engine-image.py "${@:2}" "$images/alpine-3.20" "$work/$1" "localhost/$1:1"; }

build_engine() {
  local command
  mkdir -p "$bin"
  for command in containerd containerd-shim-runc-v2 ctr; do build "github.com/containerd/containerd/v2/cmd/$command" v2.4.2; done
  build sigs.k8s.io/cri-tools/cmd/crictl v1.37.0
}
build() { [ -x "$bin/${1##*/}" ] || GOBIN=$bin CGO_ENABLED=0 go install -ldflags '-s -w' "$1@$2" 2>"$work/build.log" || { cat "$work/build.log"; fail "cannot build $1"; }; }

# A pause image, in an OCI layout.
build_pause() {
  mkdir "$work/pause"
  printf 'module pause\n' >"$work/pause/go.mod"
  cat >"$work/pause/main.go" <<'GO'
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
}
GO
  (cd "$work/pause" && CGO_ENABLED=0 go build -o pause .)
  test/engine-image.py --pause "$work/pause/pause" "$work/pause-image" localhost/pause:1
}

# engine_config ROOT: for containerd 2.4, with its CRI plugin.
engine_config() {
  cat >"$work/config.toml" <<TOML
version = 3
root = "$1"
state = "$work/state"
[grpc]
  address = "$work/c.sock"
[ttrpc]
  address = "$work/c.ttrpc"
# Its socket has one path for all containerds of a machine.
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  conf_dir = "$work/cni"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "localhost/pause:1"
TOML
  printf 'runtime-endpoint: unix://%s\nimage-endpoint: unix://%s\ntimeout: 120\n' "$work/c.sock" "$work/c.sock" >"$work/crictl.yaml"
}
crictl() { "$bin/crictl" --config "$work/crictl.yaml" "$@"; }

# start CONTAINERD: waits until it answers.
start() {
  # Its shim is the one beside it.
  PATH=${1%/*}:$PATH "$1" --config "$work/config.toml" >"$work/engine.log" 2>&1 &
  engine=$!
  for _ in $(seq 300); do
    [ ! -S "$work/c.sock" ] || ! "${1%containerd}ctr" -a "$work/c.sock" version >/dev/null 2>&1 || return 0
    sleep 0.2
  done
  tail -n 30 "$work/engine.log"
  fail "$1 does not start"
}
stop() { ended TERM; }
ended() { # SIGNAL
  if [ -n "$engine" ]; then
    kill -s "$1" "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
  fi
  engine=
}

cleanup() {
  # The shims of this test's containers, by their own socket's address.
  for pid in $(pgrep -f -- "-address $work/"); do kill -9 "$pid" || true; done
  stop
  [ -z "${registry:-}" ] || stop_registry
  while read -r mounted; do umount -l "$mounted" || true; done < <(awk -v w="$work/" 'index($5, w) == 1 {print $5}' /proc/self/mountinfo | sort -r)
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT
