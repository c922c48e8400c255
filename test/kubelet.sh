#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A kubelet that starts pods from what layerctl gave its containerd, and pulls
# nothing: kubelet.sh LAYERCTL. The kubelet stands alone, without an API server;
# its pods are a file. It is built from the Go module proxy, which takes a
# quarter of an hour the first time, or taken with the rest from
# $LAYERCTL_ENGINES. With LAYERCTL_FULL=1 also what the kubelet collects where the
# disk is full, which it looks after every five minutes. Needs what
# test/containerd.sh needs, e2fsprogs, and cgroups of either version that are not
# systemd's.
set -euo pipefail
# shellcheck source=test/engine.sh
. "$(dirname "$0")/engine.sh"
kubelet=
# It has one directory whose place nobody can choose.
plugins=/var/lib/kubelet
[ ! -e "$plugins" ] || plugins=
trap 'halt; [ -z "$engine" ] || crictl rmp -af >/dev/null 2>&1 || true; cleanup; [ -z "$plugins" ] || rm -rf "$plugins"' EXIT
halt() {
  [ -z "$kubelet" ] || kill "$kubelet" 2>/dev/null || true
  [ -z "$kubelet" ] || wait "$kubelet" 2>/dev/null || true
  kubelet=
}

# build_kubelet: k8s.io/kubernetes has its libraries as directories of its own,
# which no other module can use; they are published apart, too, by the same
# version.
build_kubelet() {
  local version=1.33.5 source
  [ ! -x "$bin/kubelet" ] || return 0
  mkdir "$work/build"
  (
    cd "$work/build"
    export CGO_ENABLED=0 GOFLAGS=-mod=mod GOWORK=off
    source=$(go mod download -json "k8s.io/kubernetes@v$version" | jq -r .Dir)
    install -m 644 "$source/cmd/kubelet/kubelet.go" main.go
    sed -E -e 's#^module .*#module kubelet#' -e "s#^(\s*)(k8s.io/\S+) => ./staging/.*#\1\2 => \2 v0.${version#1.}#" "$source/go.mod" >go.mod
    printf '\nrequire k8s.io/kubernetes v%s\n' "$version" >>go.mod
    install -m 644 "$source/go.sum" go.sum
    go build -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$version" -o "$bin/kubelet" .
  ) >"$work/build.log" 2>&1 || { tail -n 30 "$work/build.log"; fail 'cannot build kubelet'; }
}

say '-- build the engine and the kubelet'
build_engine
build_kubelet
build_pause

# start_kubelet: it has no registry, no network plug-in and no systemd.
start_kubelet() {
  "$bin/kubelet" --config "$work/kubelet.yaml" --root-dir "$disk/kubelet" --cert-dir "$work/pki" --hostname-override layerctl-test >"$work/kubelet.log" 2>&1 &
  kubelet=$!
}
# A disk of its own, whose room the kubelet can see.
disk=$work/disk
truncate -s 1G "$work/disk.img"
mkfs.ext4 -q "$work/disk.img"
mkdir "$disk"
mount -o loop "$work/disk.img" "$disk"
mkdir -p "$work/pods" "$work/logs" "$work/volumes"
cat >"$work/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
enableServer: false
healthzPort: 0
staticPodPath: $work/pods
podLogsDir: $work/logs
volumePluginDir: $work/volumes
containerRuntimeEndpoint: unix://$work/c.sock
imageServiceEndpoint: unix://$work/c.sock
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
makeIPTablesUtilChains: false
failSwapOn: false
fileCheckFrequency: 1s
syncFrequency: 1s
evictionHard: {memory.available: "0%", nodefs.available: "0%", imagefs.available: "0%"}
imageGCHighThresholdPercent: 100
resolvConf: ""
YAML

# pod NAME IMAGE
pod() {
  cat >"$work/pods/$1.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - name: $1
    image: $2
    imagePullPolicy: Never
    command: [/bin/sh, -c, "cat /etc/alpine-release; echo started; exec sleep 1000"]
YAML
}
# runs NAME: waits until the pod's container has said what it should.
runs() {
  local container=
  for _ in $(seq 150); do
    container=$(crictl ps -q --name "^$1\$" --state Running 2>/dev/null || true)
    if [ -n "$container" ] && crictl logs "$container" >"$work/log" 2>/dev/null && grep -qx started "$work/log"; then
      grep -q '^3\.20\.' "$work/log" || { cat "$work/log"; fail "$1 is another image"; }
      return
    fi
    sleep 0.2
  done
  tail -n 30 "$work/kubelet.log"
  crictl ps -a
  fail "no container of the pod $1 runs"
}
ends() {
  rm "$work/pods/$1.yaml"
  for _ in $(seq 150); do
    [ -n "$(crictl ps -q --name "^$1\$" --state Running)" ] || return 0
    sleep 0.2
  done
  fail "the pod $1 does not end"
}

say '-- a pod of an image that was only given'
engine_config "$disk/root"
start "$bin/containerd"
export LAYERCTL_STORE=$disk/store
give() { "$layerctl" pull --quiet --platform linux/amd64 --into "$into" --engine-name "$2" "${@:3}" "$1"; }
give "oci:$work/pause-image" localhost/pause:1
give "oci:$images/alpine-3.20" alpine:3.20
pod one alpine:3.20
start_kubelet
runs one
crictl ps
crictl images

say '-- an image that comes while the kubelet runs'
an_image mended
pod two localhost/mended:1
for _ in $(seq 150); do ! grep -q ErrImageNeverPull "$work/kubelet.log" || break; sleep 0.2; done
grep -q ErrImageNeverPull "$work/kubelet.log" || fail 'a pod starts without its image'
give "oci:$work/mended" localhost/mended:1
runs two

say '-- after a restart of both'
halt
stop
start "$bin/containerd"
start_kubelet
runs one
runs two
ends one
pod one alpine:3.20
runs one

if [ "${LAYERCTL_FULL:-}" = 1 ]; then
  say '-- what the kubelet collects where the disk is full'
  halt
  for image in ours theirs; do
    head -c 100M /dev/urandom >"$work/random"
    test/engine-image.py --pause "$work/random" "$work/$image" "localhost/$image:1"
  done
  give "oci:$work/ours" localhost/ours:1
  give "oci:$work/theirs" localhost/theirs:1 --hand-over
  "$layerctl" prune --quiet >/dev/null
  sed -i -e 's/^imageGCHighThresholdPercent: .*/imageGCHighThresholdPercent: 15/' "$work/kubelet.yaml"
  printf 'imageGCLowThresholdPercent: 10\nimageMinimumGCAge: 1s\n' >>"$work/kubelet.yaml"
  used() { df --output=used -k "$disk" | tail -n 1; }
  there() { crictl images -o json | jq -e --arg n "localhost/$1:1" 'any(.images[]; .repoTags | index($n))' >/dev/null; }
  for image in ours theirs; do there $image || fail "$image is not listed"; done
  before=$(used)
  start_kubelet
  for _ in $(seq 420); do there theirs || break; sleep 1; done
  ! there theirs || { grep -iE 'image|fs' "$work/kubelet.log" | tail -n 30; fail 'what was handed over is not collected'; }
  sleep 1
  after=$(used)
  say "the disk had $before KiB in use, and has $after"
  [ $((before - after)) -gt 100000 ] || fail 'what was collected is still on the disk'
  for image in ours pause mended; do there "$image" || fail "$image is collected, and was pinned"; done
  "$layerctl" verify --quiet || fail 'the store, or what the engine has of it, is not whole'
  runs one
fi

say '-- done'
