#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# fuzz.sh TIME [PACKAGE…]: runs each fuzz target of the packages, or of all,
# for TIME, such as 60s or 1h; four times as many at once as there are processors,
# each with one worker. What is found to be new is kept where go test keeps it.
set -euo pipefail
cd "$(dirname "$0")/.."

# fuzz BINARY PACKAGE TARGET TIME LOG. Without a bound on minimizing, workers
# spend their time on that and not on new inputs.
fuzz() {
  (cd "$2" && "$1" -test.run '^$' -test.fuzz "^$3\$" -test.fuzztime "$4" -test.fuzzminimizetime 10x -test.parallel 1 \
    -test.fuzzcachedir "$(go env GOCACHE)/fuzz/$(go list .)") >"$5" 2>&1
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
  [ $status != 0 ] || echo "fuzz $2 $3 for $4: $(grep -o 'execs: [0-9]*' "$log" | tail -n 1)"
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
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
# A package is built once, with the counters that guide the fuzzer.
for package; do
  binary=$bin/${package//\//_}.test
  go test -c -fuzz . -vet off -o "$binary" "$package"
  mapfile -t names < <(grep -ho '^func Fuzz[A-Za-z0-9]*' "$package"/*_test.go | cut -c 6-)
  for name in "${names[@]}"; do
    printf '%s\0%s\0%s\0%s\0' "$binary" "$package" "$name" "$time" >>"$bin/targets"
  done
done
xargs -0 -n 4 -P "$((4 * $(nproc)))" test/fuzz.sh --target <"$bin/targets"
