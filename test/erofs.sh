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
pool=$(apt-get --print-uris download mount 2>/dev/null | sed -n "s,^'\(.*\)/pool/.*,\1/pool/main,p" | sed 's,/debian-security/,/debian/,') || pool=
fetched() {
  local name
  for name in e/erofs-utils/erofs-utils_1.8.6-1 g/glibc/libc6_2.41-12 libd/libdeflate/libdeflate0_1.23-2; do
    curl -fsSL --retry 3 --max-time 120 -o "$work/${name##*/}_amd64.deb" "$pool/${name}_amd64.deb" || return 1
  done
}
if [ -n "$pool" ] && fetched; then
  # Nobody else has proven what runs as root here.
  (cd "$work" && sha256sum --quiet -c) <<'END'
81042b8c0c3eb63699aa7d0763dceedc675a747d9f5cfebf914b4160233f411e  erofs-utils_1.8.6-1_amd64.deb
6cff801097cd0eb2126b60e533f37afdc78456efacdf2bfae62877f00c795d0b  libc6_2.41-12_amd64.deb
5fe37fb79d53f5c91da6ba3ac4c1a8453e1f2b1ff0e0ea45189c5338bbfdbf82  libdeflate0_1.23-2_amd64.deb
END
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
  echo 'LEFT OUT: fsck.erofs and dump.erofs, for the pool of Debian 13 has not what is asked for'
fi
# alone NAMES DIR: fails where there is none of them.
alone() {
  go test -count=1 -run "^($1)\$" "$2" | tee "$work/alone"
  ! grep 'no tests to run' "$work/alone" || exit 1
}
alone "$(sed -n 's/^func \(Test[A-Z][A-Za-z]*\)(.*/\1/p' internal/erofs_test.go | paste -sd '|')" ./internal
LAYERCTL_STACKS=$((${LAYERCTL_STACKS:-1000} / 20)) alone TestLayersAlone .
LAYERCTL_STACKS=${LAYERCTL_STACKS:-1000} go test -timeout 30m -count=1 -run '^TestRandomStacksOfTars$' -v . | grep -vE '^=== '
