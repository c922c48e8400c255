#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A Docker engine that keeps its images in containerd runs what layerctl gave:
# dockerd.sh LAYERCTL. The engine is built from the Go module proxy, which takes
# minutes, or taken with the rest from $LAYERCTL_ENGINES. Needs what
# test/containerd.sh needs, docker's command, docker-registry, and a C compiler for runc.
set -euo pipefail
# shellcheck source=test/engine.sh
. "$(dirname "$0")/engine.sh"
# shellcheck source=test/registry.sh
. test/registry.sh
dockerd=
trap 'halt; cleanup' EXIT
halt() {
  [ -z "$dockerd" ] || kill "$dockerd" 2>/dev/null || true
  [ -z "$dockerd" ] || wait "$dockerd" 2>/dev/null || true
  dockerd=
}
docker() { command docker -H "unix://$work/docker.sock" "$@"; }
start_dockerd() {
  "$bin/dockerd" --host "unix://$work/docker.sock" --containerd "$work/c.sock" --config-file "$work/docker.json" \
    --data-root "$work/docker" --exec-root "$work/docker-state" --pidfile "$work/docker.pid" \
    --bridge none --iptables=false --ip6tables=false --feature containerd-snapshotter=true \
    --add-runtime "newer=$runc" --default-runtime newer --seccomp-profile unconfined >"$work/dockerd.log" 2>&1 &
  dockerd=$!
  for _ in $(seq 150); do
    ! docker version >/dev/null 2>&1 || return 0
    sleep 0.2
  done
  tail -n 30 "$work/dockerd.log"
  fail 'dockerd does not start'
}

say '-- build the engine'
build_engine
build github.com/moby/moby/v2/cmd/dockerd v2.0.0-beta.24
# Debian's runc does not know all that this Docker asks of it.
runc=$bin/for-docker/runc
[ -x "$runc" ] || GOBIN=${runc%/*} CGO_ENABLED=1 go install github.com/opencontainers/runc@v1.4.0
export DOCKER_CONFIG=$work/config
echo '{}' >"$work/docker.json"
engine_config "$work/root"
start "$bin/containerd"
start_dockerd
docker version --format 'dockerd {{.Server.Version}}, client {{.Client.Version}}'
docker info --format '{{.Driver}} {{.DriverStatus}}'

say '-- images that were only given'
export LAYERCTL_STORE=$work/store
an_image mended
give() { "$layerctl" pull --quiet --platform linux/amd64 --into "$into" --namespace moby --engine-name "$2" "${@:3}" "$1"; }
give "oci:$images/alpine-3.20" alpine:3.20
give "oci:$work/mended" localhost/mended:1
has() { [ -n "$(docker images -q "$1")" ]; }
docker images
has alpine:3.20 || fail 'alpine is not listed'
has localhost/mended:1 || fail 'the image of ours is not listed'
run() { docker run --rm --pull never --network none "$@"; }
[ "$(run alpine:3.20 cat /etc/alpine-release | cut -d. -f1,2)" = 3.20 ] || fail 'alpine does not run'
[ "$(run localhost/mended:1 cat /data/keep/implied)" = x ] || fail 'the image of ours does not run'

say '-- after a restart of both'
halt
stop
start "$bin/containerd"
start_dockerd
[ "$(run alpine:3.20 cat /etc/alpine-release | cut -d. -f1,2)" = 3.20 ] || fail 'alpine does not run'

say '-- removed by docker, and by layerctl'
snapshots() { "$bin/ctr" -a "$work/c.sock" -n moby snapshots ls | sed 1d | wc -l; }
docker rmi alpine:3.20
! has alpine:3.20 || fail 'what docker removed is listed'
"$layerctl" prune --quiet
"$layerctl" verify --quiet || fail 'the store is not whole'
[ "$(run localhost/mended:1 cat /data/keep/implied)" = x ] || fail 'the other image does not run'
"$layerctl" give --quiet --platform linux/amd64 --into "$into" --namespace moby --engine-name alpine:3.20 "oci:$images/alpine-3.20"
[ "$(run alpine:3.20 cat /etc/alpine-release | cut -d. -f1,2)" = 3.20 ] || fail 'alpine does not run when it is given again'
"$layerctl" rm --quiet --platform linux/amd64 "oci:$images/alpine-3.20"
"$layerctl" rm --quiet --platform linux/amd64 "oci:$work/mended"
"$layerctl" prune --quiet
[ -z "$(docker images -q)" ] || { docker images; fail 'what was taken back is listed'; }

say '-- with its compressed layers'
give "oci:$work/mended" localhost/blobs:1 --keep-blobs
docker save localhost/blobs:1 -o "$work/saved.tar"
"$layerctl" ls "docker-archive:$work/saved.tar" >/dev/null 2>&1 || "$layerctl" ls --platform linux/amd64 "oci-archive:$work/saved.tar" >/dev/null || fail 'what docker saves is no image'
start_registry
docker tag localhost/blobs:1 "localhost:$port/blobs:1"
docker push --quiet "localhost:$port/blobs:1" || fail 'docker cannot push it'
docker rmi "localhost:$port/blobs:1" >/dev/null
stop_registry
"$layerctl" rm --quiet --platform linux/amd64 "oci:$work/mended"
[ -z "$(docker images -q)" ] || { docker images; fail 'what was taken back is listed'; }
docker system prune -f >/dev/null
"$bin/ctr" -a "$work/c.sock" -n moby content prune references >/dev/null
[ "$(snapshots)" = 0 ] || { "$bin/ctr" -a "$work/c.sock" -n moby snapshots ls; fail 'snapshots are left'; }
say '-- done'
