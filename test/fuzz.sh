#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# fuzz.sh TIME [PACKAGE…]: runs each fuzz target of the packages, or of all,
# for TIME, such as 60s or 1h.
set -euo pipefail
cd "$(dirname "$0")/.."
time=$1
shift
if [ $# = 0 ]; then
  mapfile -t packages < <(grep -rl '^func Fuzz' --include='*_test.go' . | xargs -n 1 dirname | sort -u)
  set -- "${packages[@]}"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz PACKAGE TARGET. Without a bound on minimizing, workers spend their time
# on that and not on new inputs.
fuzz() {
  echo "fuzz $1 $2 for $time"
  go test "$1" -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 10x >"$log" 2>&1
}

for package; do
  mapfile -t targets < <(grep -ho '^func Fuzz[A-Za-z0-9]*' "$package"/*_test.go | cut -c 6-)
  for target in "${targets[@]}"; do
    # The end of the time can meet a worker in the middle of something, and go
    # test calls that a failure; it has no failing input then.
    if ! fuzz "$package" "$target"; then
      if grep -q 'Failing input' "$log" || ! grep -q 'context deadline exceeded' "$log" || ! fuzz "$package" "$target"; then
        tail -n 100 "$log"
        exit 1
      fi
    fi
    tail -n 1 "$log"
  done
done
