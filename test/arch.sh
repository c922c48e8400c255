#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# arch.sh: the tests of what reads bytes, built for ARM and run by qemu. Words of
# 32 bits and another memory model are where hand-made loops go wrong.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT

for target in arm64 arm/6 arm/7; do
  emulator=qemu-arm-static
  [ "$target" != arm64 ] || emulator=qemu-aarch64-static
  for package in internal/inflate internal/layertar manifest; do
    CGO_ENABLED=0 GOARCH=${target%/*} GOARM=${target#*/} go test -c -o "$bin/test" "./$package"
    echo "$target: $package"
    (cd "$package" && "$emulator" "$bin/test" -test.short)
  done
done
