#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# arch.sh: the tests of what reads bytes, built for ARM and run by qemu, as many
# at once as there are processors. Words of 32 bits and another memory model are
# where hand-made loops go wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

# try BINARY PACKAGE TARGET
try() {
  local emulator=qemu-arm-static log=$1.log
  [ "$3" != arm64 ] || emulator=qemu-aarch64-static
  (cd "$2" && "$emulator" "$1" -test.short) >"$log" 2>&1 || { cat "$log"; echo "$3: $2: failed"; return 1; }
  echo "$3: $2: $(tail -n 1 "$log")"
}

if [ "${1:-}" = --try ]; then
  try "${@:2}"
  exit
fi
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
for package in internal/inflate internal/layertar manifest; do
  for target in arm64 arm/6 arm/7; do
    binary=$bin/${package//\//_}-${target/\//v}
    CGO_ENABLED=0 GOARCH=${target%/*} GOARM=${target#*/} go test -c -o "$binary" "./$package"
    printf '%s\0%s\0%s\0' "$binary" "$package" "$target" >>"$bin/all"
  done
done
xargs -0 -n 3 -P "$(nproc)" test/arch.sh --try <"$bin/all"
