#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# fuzz.sh TIME [PACKAGE…]: runs each fuzz target of the packages, or of all,
# for TIME, such as 60s or 1h; as many at once as there are processors, each
# with one worker.
set -euo pipefail
cd "$(dirname "$0")/.."

# fuzz PACKAGE TARGET TIME LOG. Without a bound on minimizing, workers spend
# their time on that and not on new inputs.
fuzz() {
  go test "$1" -run '^$' -fuzz "^$2\$" -fuzztime "$3" -fuzzminimizetime 10x -parallel 1 >"$4" 2>&1
}

# The end of the time can meet a worker in the middle of something, and go test
# calls that a failure; it has no failing input then.
target() {
  local log status=0
  log=$(mktemp)
  if ! fuzz "$@" "$log"; then
    if grep -q 'Failing input' "$log" || ! grep -q 'context deadline exceeded' "$log" || ! fuzz "$@" "$log"; then
      tail -n 100 "$log"
      status=1
    fi
  fi
  [ $status != 0 ] || echo "fuzz $1 $2 for $3: $(grep -o 'execs: [0-9]*' "$log" | tail -n 1)"
  rm -f "$log"
  return $status
}

if [ "${1:-}" = --target ]; then
  target "${@:2}"
  exit
fi
time=$1
shift
if [ $# = 0 ]; then
  mapfile -t packages < <(grep -rl '^func Fuzz' --include='*_test.go' . | xargs -n 1 dirname | sort -u)
  set -- "${packages[@]}"
fi
for package; do
  mapfile -t names < <(grep -ho '^func Fuzz[A-Za-z0-9]*' "$package"/*_test.go | cut -c 6-)
  for name in "${names[@]}"; do
    printf '%s\0%s\0%s\0' "$package" "$name" "$time"
  done
done | xargs -0 -n 3 -P "$(nproc)" test/fuzz.sh --target
