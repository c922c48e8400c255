#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compares, path by path, what layerctl unpacks, and exports as a tar, with what
# a Docker engine exports of a container of the same image: flat.sh LAYERCTL. Needs root,
# Debian's docker.io, containerd, docker-registry, skopeo and attr, and in
# $LAYERCTL_TEST_IMAGES an OCI layout alpine-3.20.
set -euo pipefail
layerctl=$(realpath "$1")
cd "$(dirname "$0")/.."
images=${LAYERCTL_TEST_IMAGES:?names the directory that holds alpine-3.20}

work=$(mktemp -d)
registry=
# shellcheck source=test/compare.sh
. test/compare.sh
# shellcheck source=test/registry.sh
. test/registry.sh
# shellcheck source=test/docker.sh
. test/docker.sh
cleanup() {
  stop_docker
  [ -z "$registry" ] || kill "$registry" 2>/dev/null || true
  rm -rf "$work" || true
}
trap cleanup EXIT

start_registry
host=127.0.0.1:$port
# shellcheck disable=SC2119
start_docker
skopeo copy -q --all --dest-tls-verify=false "oci:$images/alpine-3.20" "docker://$host/alpine"
skopeo copy -q --all --dest-tls-verify=false "oci:testdata/images/hello" "docker://$host/hello"
mkdir "$work/context"
echo 'from the context' >"$work/context/copied"
{
  docker build -q --network=host --build-arg "BASE=$host/alpine" -f test/layers.Dockerfile -t "$host/layers" "$work/context" &&
    docker push -q "$host/layers"
} >"$work/log" 2>&1 || { cat "$work/log"; fail 'docker build'; }

# What an engine puts into every container: its own mark, and what it mounts
# something over, whatever the image has there.
covered='.dockerenv dev/console etc/hostname etc/hosts etc/mtab etc/resolv.conf'
# It makes these where the image does not have them.
mountpoints='dev/pts dev/shm dev etc proc sys'
# Directories that no entry of a layer of hello says. The engine makes each with
# a mode of its own at the time of the pull, also where a layer below says it
# (var); layerctl keeps what is below, and else makes 0755 at time 0.
implied='hello/home hello/home/user hello/srv hello/srv/implied hello/usr hello/usr/bin hello/var'

# forgive ENGINE OURS: takes out what no comparison can be about.
forgive() {
  local path
  for path in $covered; do rm -f "$1/$path" "$2/$path"; done
  for path in $mountpoints; do
    [ -d "$2/$path" ] || rmdir "$1/$path"
  done
  # Their directories have got new times by that, here and there.
  for path in dev etc; do
    [ ! -d "$2/$path" ] || touch -d @0 "$1/$path" "$2/$path"
  done
}

for image in alpine hello layers; do
  docker pull -q "$host/$image" >/dev/null
  mkdir "$work/$image.engine"
  docker export "$(docker create "$host/$image" sh 2>"$work/log")" | tar -xp --numeric-owner --xattrs --xattrs-include='*' -C "$work/$image.engine"
  "$layerctl" unpack -q --store "$work/none" --plain-http "$host" "$host/$image" "$work/$image.ours"
  "$layerctl" pull -q --store "$work/store" --plain-http "$host" "$host/$image" >/dev/null
  mkdir "$work/$image.tar"
  "$layerctl" export -q --store "$work/store" --plain-http "$host" --as tar "$host/$image" | tar -xp --numeric-owner --xattrs --xattrs-include='*' -C "$work/$image.tar"
  same "$work/$image.tar" "$work/$image.ours"
  forgive "$work/$image.engine" "$work/$image.ours"
  for path in $implied; do
    [ "${path%%/*}" = "$image" ] || continue
    chmod --reference="$work/$image.ours/${path#*/}" "$work/$image.engine/${path#*/}"
    touch -r "$work/$image.ours/${path#*/}" "$work/$image.engine/${path#*/}"
  done
  same "$work/$image.engine" "$work/$image.ours"
  echo "flat: $image: $(find "$work/$image.ours" -mindepth 1 | wc -l) paths, unpacked and as a tar, equal those that the engine exports"
done
