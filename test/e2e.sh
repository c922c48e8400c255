#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# End to end, with a real registry, real images and the real kernel: e2e.sh
# LAYERCTL. Needs root, Debian's docker-registry, skopeo, qemu-user-static,
# busybox and attr, and in $LAYERCTL_TEST_IMAGES an OCI layout alpine-3.20.
set -euo pipefail
layerctl=$(realpath "$1")
cd "$(dirname "$0")/.."
images=${LAYERCTL_TEST_IMAGES:?names the directory that holds alpine-3.20}

work=$(mktemp -d)
registry=
cleanup() {
  while read -r mounted; do umount -l "$mounted" || true; done < <(awk -v w="$work/" 'index($5, w) == 1 {print $5}' /proc/self/mountinfo | sort -r)
  [ -z "$registry" ] || kill "$registry" 2>/dev/null || true
  rm -rf "$work" || true
}
trap cleanup EXIT

# shellcheck source=test/compare.sh
. test/compare.sh
# shellcheck source=test/registry.sh
. test/registry.sh

start_registry
alpine=127.0.0.1:$port/alpine:3.20
skopeo copy -q --all --dest-tls-verify=false "oci:$images/alpine-3.20" "docker://$alpine"
index=$(jq -r '.manifests[0].digest' "$images/alpine-3.20/index.json")

qemu_for() {
  case $1 in
    linux/amd64) ;;
    linux/386) echo qemu-i386-static ;;
    linux/arm64) echo qemu-aarch64-static ;;
    linux/arm/*) echo qemu-arm-static ;;
    *) echo "qemu-${1#linux/}-static" ;;
  esac
}

# tars REFERENCE FLAT FLAG…: the image from a store of tars equals the flat tree,
# and its mount is one EROFS.
tars() {
  "$layerctl" pull --quiet --store "$work/tars" --lower tar "${@:3}" "$1" >/dev/null
  "$layerctl" mount --store "$work/tars" "${@:3}" "$1" "$work/tars-mnt"
  [ "$(findmnt -no FSTYPE "$work/tars-mnt")" = erofs ] || fail 'a store of tars is mounted by something else'
  same "$2" "$work/tars-mnt"
  "$layerctl" umount --store "$work/tars" "$work/tars-mnt"
}
mkdir "$work/tars-mnt"

for platform in linux/{amd64,386,arm/v6,arm/v7,arm64,ppc64le,riscv64,s390x}; do
  name=${platform//\//-}
  mkdir "$work/$name"
  line=$("$layerctl" pull --store "$work/store" --plain-http "127.0.0.1:$port" --platform "$platform" --target "$work/$name" "$alpine")
  sh -c "$line"
  release=$(cat "$work/$name/etc/alpine-release")
  manifest=$(jq -r --arg p "$platform" '.manifests[] | select(([.platform.os, .platform.architecture] + (if .platform.architecture == "arm" then [.platform.variant] else [] end) | join("/")) == $p) | .digest' "$images/alpine-3.20/blobs/${index/:/\/}")
  flatten "$images/alpine-3.20" "$manifest" "$work/$name.flat"
  same "$work/$name.flat" "$work/$name"
  emulator=$(qemu_for "$platform")
  [ -z "$emulator" ] || mount --bind /usr/bin "$work/$name/mnt"
  said=$(chroot "$work/$name" ${emulator:+"/mnt/$emulator"} /bin/busybox cat /etc/alpine-release)
  [ -z "$emulator" ] || umount "$work/$name/mnt"
  [ "$said" = "$release" ] || fail "$platform: busybox says '$said', the file '$release'"
  umount "$work/$name"
  tars "$alpine" "$work/$name.flat" --plain-http "127.0.0.1:$port" --platform "$platform"
  echo "e2e: $platform: Alpine $release runs, $(find "$work/$name.flat" | wc -l) paths equal tar's, from directories and from tars"
done

layout=testdata/images/hello
index=$(jq -r '.manifests[0].digest' "$layout/index.json")
manifest=$(jq -r '.manifests[] | select(.platform.architecture == "amd64") | .digest' "$layout/blobs/${index/:/\/}")
mkdir "$work/hello"
sh -c "$("$layerctl" pull --store "$work/store" --platform linux/amd64 --target "$work/hello" "oci:$layout")"
flatten "$layout" "$manifest" "$work/hello.flat"
same "$work/hello.flat" "$work/hello"
[ -z "$(find "$work/hello" -type c)" ] || fail 'a whiteout shows'
umount "$work/hello"
tars "oci:$layout" "$work/hello.flat" --platform linux/amd64
echo "e2e: hello: $(find "$work/hello.flat" | wc -l) paths of three layers equal the flat image, from directories and from tars"
"$layerctl" verify --store "$work/tars" >"$work/verify" 2>&1 || { cat "$work/verify"; fail 'the store of tars is damaged'; }
