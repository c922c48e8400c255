#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Indexes as others read them: erofs.sh. Runs the tests that make indexes with
# test/erofsreader, which reads them by github.com/erofs/go-erofs, and with
# fsck.erofs, dump.erofs and erofsfuse 1.8 of Debian 13, from $LAYERCTL_EROFS_UTILS
# or as erofs-utils.sh unpacks them; these are left out where it cannot. Needs root.
# LAYERCTL_STACKS says how many random stacks there are, on a disk and by loop
# devices: 1,000 unless it is set.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd test/erofsreader && go vet . && go build -o "$work/reader" .)
export LAYERCTL_EROFS_READER=$work/reader

utils=${LAYERCTL_EROFS_UTILS:-$work/utils}
if [ -x "$utils/bin/erofsfuse" ] || test/erofs-utils.sh "$utils"; then
  export LAYERCTL_EROFS_FSCK=$utils/bin/fsck.erofs LAYERCTL_EROFS_DUMP=$utils/bin/dump.erofs PATH=$PATH:$utils/bin
  chosen='TestRandomStacks(OfTars|ByEROFSFUSE)'
else
  echo 'LEFT OUT: fsck.erofs, dump.erofs and erofsfuse'
  chosen=TestRandomStacksOfTars
fi
# alone NAMES DIR: fails where there is none of them.
alone() {
  go test -count=1 -run "^($1)\$" "$2" | tee "$work/alone"
  ! grep 'no tests to run' "$work/alone" || exit 1
}
alone "$(sed -n 's/^func \(Test[A-Z][A-Za-z]*\)(.*/\1/p' internal/erofs_test.go | paste -sd '|')" ./internal
LAYERCTL_STACKS=$((${LAYERCTL_STACKS:-1000} / 20)) alone TestLayersAlone .
LAYERCTL_STACKS=${LAYERCTL_STACKS:-1000} go test -timeout 30m -count=1 -run "^$chosen\$" -v . | grep -vE '^=== '
