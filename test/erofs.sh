#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Indexes as others read them: erofs.sh. Runs the tests that make indexes with
# test/erofsreader, which reads them by github.com/erofs/go-erofs, and with
# fsck.erofs and dump.erofs 1.8 of Debian 13, whose package is unpacked aside;
# these are left out where it cannot be reached. Needs root.
# LAYERCTL_STACKS says how many random stacks there are, on a disk and by loop
# devices: 1,000 unless it is set.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd test/erofsreader && go vet . && go build -o "$work/reader" .)
export LAYERCTL_EROFS_READER=$work/reader

# From the mirror that this machine's apt is set up with. Debian 12's C library
# is too old for these programs, and its erofs-utils for blocks of 512 bytes.
pool=$(apt-get --print-uris download mount | sed -n "s,^'\(.*\)/pool/.*,\1/pool/main,p")
if curl -fsSL --max-time 120 -o "$work/erofs-utils.deb" "$pool/e/erofs-utils/erofs-utils_1.8.6-1_amd64.deb" &&
  curl -fsSL --max-time 120 -o "$work/libc.deb" "$pool/g/glibc/libc6_2.41-12_amd64.deb" &&
  curl -fsSL --max-time 120 -o "$work/deflate.deb" "$pool/libd/libdeflate/libdeflate0_1.23-2_amd64.deb"; then
  for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$work/trixie"; done
  lib=$work/trixie/usr/lib/x86_64-linux-gnu
  for program in fsck dump; do
    printf '#!/bin/sh\nexec %s --library-path %s:/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu %s "$@"\n' \
      "$lib/ld-linux-x86-64.so.2" "$lib" "$work/trixie/usr/bin/$program.erofs" >"$work/$program.erofs"
    chmod +x "$work/$program.erofs"
    "$work/$program.erofs" -V | head -n 1
  done
  export LAYERCTL_EROFS_FSCK=$work/fsck.erofs LAYERCTL_EROFS_DUMP=$work/dump.erofs
else
  echo 'Debian 13 cannot be reached: fsck.erofs and dump.erofs are left out'
fi
go test -count=1 ./internal/erofs
LAYERCTL_STACKS=${LAYERCTL_STACKS:-1000} go test -timeout 30m -count=1 -run '^TestRandomStacksOfTars$' -v . | grep -vE '^=== '
