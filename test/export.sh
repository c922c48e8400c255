#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Exports, and who loads them: export.sh LAYERCTL. Needs root, Debian's
# docker.io, containerd, podman, skopeo, docker-registry, attr and jq, and in
# $LAYERCTL_TEST_IMAGES an OCI layout alpine-3.20.
set -euo pipefail
layerctl=$(realpath "$1")
cd "$(dirname "$0")/.."
images=$(realpath "${LAYERCTL_TEST_IMAGES:?names the directory that holds alpine-3.20}")

work=$(mktemp -d)
registry=
# shellcheck source=test/compare.sh
. test/compare.sh
# shellcheck source=test/registry.sh
. test/registry.sh
# shellcheck source=test/docker.sh
. test/docker.sh
stop_registry() {
  [ -z "$registry" ] || kill "$registry" 2>/dev/null || true
  registry=
}
trap 'stop_registry; stop_docker; rm -rf "$work" || true' EXIT

say() { echo "export: $*"; }
is() { [ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"; } # WHAT GOT WANT

export LAYERCTL_STORE=$work/store
layout=oci:$images/alpine-3.20
index=$(jq -r '.manifests[0].digest' "$images/alpine-3.20/index.json")
manifest=$("$layerctl" resolve --platform linux/amd64 "$layout")
manifest=${manifest#*@}
config=$(jq -r .config.digest "$images/alpine-3.20/blobs/${manifest/:/\/}")

start_registry
alpine=127.0.0.1:$port/alpine:3.20
skopeo copy -q --all --dest-tls-verify=false "$layout" "docker://$alpine"

say '-- archives, from the registry and from what was kept'
ctl() { "$layerctl" --quiet --platform linux/amd64 --plain-http "127.0.0.1:$port" "$@"; }
for as in oci-archive docker-archive; do ctl export --as $as -o "$work/fetched.$as" "$alpine"; done
ctl export --as oci-archive --keep-blobs "$alpine" | cmp - "$work/fetched.oci-archive"
ctl pull "$alpine" >/dev/null
ctl pull --store "$work/bare" "$alpine" >/dev/null
stop_registry
for as in oci-archive docker-archive; do
  ctl export --offline --as $as -o "$work/alpine.$as" "$alpine"
  cmp "$work/fetched.$as" "$work/alpine.$as"
done
ctl export --store "$work/bare" --offline --as docker-archive --name localhost/again:1 -o "$work/again.tar" "$alpine"
ctl export --store "$work/bare" --offline --as docker-archive --name localhost/again:1 "$alpine" | cmp - "$work/again.tar"
ctl export --as oci-archive --name zstd:1 -o "$work/gone" oci:nowhere 2>/dev/null && fail 'an export of nothing ends well'
[ ! -e "$work/gone" ] || fail 'and leaves a file'

skopeo copy -q --override-arch amd64 --dest-compress-format zstd "$layout" "oci:$work/zstd:1"
for as in oci-archive docker-archive; do ctl export --as $as --name localhost/zstd:1 -o "$work/zstd.$as" "oci:$work/zstd:1"; done
"$layerctl" export --quiet --as oci-archive --all-platforms --name localhost/all:1 -o "$work/all.oci-archive" "$layout"

is 'skopeo, oci-archive' "$(skopeo inspect --format '{{.Digest}}' "oci-archive:$work/alpine.oci-archive:3.20")" "$manifest"
is 'skopeo, docker-archive' "sha256:$(skopeo inspect --config --raw "docker-archive:$work/alpine.docker-archive:$alpine" | sha256sum | cut -d' ' -f1)" "$config"

start_docker
loaded=$alpine
for as in oci-archive docker-archive; do
  say "-- docker load, $as"
  docker load -q -i "$work/alpine.$as"
  is "docker, $as" "$(docker image inspect --format '{{.Id}}' "$loaded")" "$config"
  docker run --rm --network=none "$loaded" grep -x '3\.20\..*' /etc/alpine-release
  if [ $as = oci-archive ]; then docker rmi "$loaded" >/dev/null; fi
done

say '-- docker load, compressed again from the store'
docker load -q -i "$work/again.tar"
docker run --rm --network=none localhost/again:1 grep -x '3\.20\..*' /etc/alpine-release
again=$(docker create --network=none localhost/again:1 true)

podman() { command podman --root "$work/podman" --runroot "$work/podman-run" --storage-driver vfs "$@"; }
for as in oci-archive docker-archive; do
  for image in alpine zstd; do
    say "-- podman load, $image.$as"
    podman load -q -i "$work/$image.$as" | sed 's/.*Loaded image: *//' >"$work/name"
    is "podman, $image.$as" "sha256:$(podman image inspect --format '{{.Id}}' "$(cat "$work/name")")" "$config"
    if [ $as.$image = oci-archive.alpine ]; then
      is "podman, $image.$as" "$(podman image inspect --format '{{.Digest}}' "$(cat "$work/name")")" "$manifest"
    fi
    podman rmi -f "$(cat "$work/name")" >/dev/null
  done
done

# As k3s takes what is in agent/images.
ctr() { command ctr -n k8s.io "$@"; }
digest_of() { ctr images ls | awk -v n="$1" '$1 == n {print $3}'; } # NAME
config_of() { ctr content get "$1" | jq -r .config.digest; }        # MANIFEST
for as in oci-archive docker-archive; do
  for image in alpine zstd; do
    say "-- ctr -n k8s.io images import, $image.$as"
    name=$loaded
    [ $image = alpine ] || name=localhost/$image:1
    ctr images import "$work/$image.$as" >/dev/null
    got=$(digest_of "$name")
    is "ctr, $image.$as" "$(config_of "$got")" "$config"
    [ $as.$image != oci-archive.alpine ] || is "ctr, $image.$as" "$got" "$manifest"
    # Not by what it prints, which ctr may not have read when the container ends.
    ctr run --rm "$name" "test-$image" grep -qx '3\.20\..*' /etc/alpine-release || fail "ctr, $image.$as does not run"
    ctr images rm --sync "$name" >/dev/null
  done
done
ctr images import --all-platforms "$work/all.oci-archive" >/dev/null
is 'ctr, all platforms' "$(digest_of localhost/all:1)" "$index"

say '-- a flat tar, beside docker export'
container=$(docker create --network=none "$loaded" true)
mkdir "$work/docker.tree" "$work/again.tree" "$work/ours.tree"
unpack() { tar -x -p --same-owner --numeric-owner --xattrs --xattrs-include='*' -C "$1"; } # DIR
docker export "$container" | unpack "$work/docker.tree"
docker export "$again" | unpack "$work/again.tree"
ctl export --offline "$alpine" | tee "$work/first.tar" | unpack "$work/ours.tree"
ctl export --offline "$alpine" | cmp - "$work/first.tar"
# An ordinary user with a strict mask and no store has the same bytes.
mkdir -m 1777 "$work/tmp"
chmod 755 "$work"
cp "$layerctl" "$work/layerctl"
(cd / && umask 077 && setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent TMPDIR="$work/tmp" LAYERCTL_STORE="$work/tmp/none" \
  "$work/layerctl" --quiet export "docker-archive:$work/alpine.docker-archive") | cmp - "$work/first.tar"
[ -z "$(ls -A "$work/tmp")" ] || fail 'an export leaves something in the temporary directory'
for tree in docker again ours; do
  (
    cd "$work/$tree.tree"
    # What the engine makes for a container.
    rm -rf .dockerenv etc/hostname etc/hosts etc/resolv.conf etc/mtab dev/* proc/* sys/*
    touch -d @0 . dev etc proc sys
  )
done
same "$work/docker.tree" "$work/ours.tree"
same "$work/docker.tree" "$work/again.tree"
say "$(find "$work/ours.tree" | wc -l) paths equal docker's"
say 'done'
