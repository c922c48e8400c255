#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A pull that outlives its process: resume.sh LAYERCTL [FORM…]. A layer in four forms
# into directories, and its gzip into a store of tars, from a registry that counts the
# bytes it sends. Each process is killed by SIGKILL: at random moments, and every two
# seconds. With LAYERCTL_FULL=1 a layer of 300 MB and 50 kills of each form, else 24 MB
# and 4. Needs root, curl, gzip, zstd, python3 and attr.
set -euo pipefail
layerctl=$(realpath "$1")
shift
forms=(gzip members frames plain tars)
[ "$#" = 0 ] || forms=("$@")
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/resume.XXXXXX")
registry=''
# shellcheck source=test/compare.sh
. test/compare.sh
cleanup() {
  [ -z "$registry" ] || kill "$registry" 2>/dev/null || true
  wait
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT
say() { echo "resume: $* (${SECONDS}s)"; }

# The link is so slow that a quiet pull takes as long as the kills, at $mean seconds
# each: what a kill costs is at most the time between two checkpoints. Of few kills
# all could be as late as they may, and one must not come after the end: there it
# takes twice as long.
size=24 kills=4 mean=3 slower=2
[ "${LAYERCTL_FULL:-}" != 1 ] || size=300 kills=50 mean=5 slower=1

test/resume-image.py "$size" "$work"
ln -s gzip "$work/tars"
test/resume-registry.py "$work" &
registry=$!
for _ in $(seq 600); do
  [ ! -e "$work/port" ] || break
  sleep 0.1
done
port=$(cat "$work/port")

tell() { curl -sS "localhost:$port/$1"; }
pull() {
  local lower=dir
  [ "$2" != tars ] || lower=tar
  exec "$layerctl" --store "$1" --lower "$lower" pull -v --platform linux/amd64 "localhost:$port/$2:latest" >>"$1.log" 2>&1
}
# killed STORE FORM SECONDS: false where the pull has ended before.
killed() {
  local process status=0
  pull "$1" "$2" &
  process=$!
  sleep "$3"
  kill -9 "$process" 2>/dev/null || true
  wait "$process" 2>/dev/null || status=$?
  [ "$status" = 0 ] || [ "$status" = 137 ] || { cat "$1.log"; fail "$2: a pull ended with $status"; }
  [ "$status" != 0 ]
}
# seen STORE FORM: its one layer, without the times of whiteouts: those are no layer's.
# Of one that is a tar the files, with the journal and the index.
seen() {
  if [ "$2" = tars ]; then
    (cd "$1" && sha256sum layers/*/layer.erofs layers/*/files.zst fix/*/index.erofs)
  else
    listing "$(echo "$1"/layers/*/fs)" | sed -E 's/( c 0 0:0 .*) [0-9.]+$/\1/'
  fi
}
# quiet FORM: as a pull has it that nobody kills, in $work/seen or $work/seen.tars.
quiet() {
  local store=$work/quiet.$1
  (pull "$store" "$1") || { cat "$store.log"; fail 'the quiet pull'; }
  seen "$store" "$1" >"$work/$2"
  say "$(wc -l <"$work/$2") lines in the listing of the layer"
}
# right STORE FORM: it has the layer as a quiet pull has it, and nothing is left over.
right() {
  local quiet=$work/seen
  [ "$2" != tars ] || quiet=$work/seen.tars
  seen "$1" "$2" | diff - "$quiet" >"$1.diff" || { head -n 40 "$1.diff"; fail "$1 differs from a quiet pull"; }
  "$layerctl" --store "$1" verify -q >>"$1.log" 2>&1 || { cat "$1.log"; fail "$1 does not verify"; }
  for left in staging trash partial; do
    [ -z "$(ls -A "$1/$left" 2>/dev/null)" ] || fail "left in $left: $(ls "$1/$left")"
  done
  rm -rf "$1"
}

# some FORM: killed at random moments.
some() {
  local layer store=$work/$1.store n=0 sent share
  layer=$(find "$work/$1/blobs" -size +1M -printf '%s')
  tell "rate/$1/$((layer / kills / mean / slower))"
  tell "sent/$1" >/dev/null
  while [ "$n" -lt "$kills" ]; do
    killed "$store" "$1" "$(awk -v r=$RANDOM -v m="$mean" 'BEGIN {print 0.1 + (2 * m - 0.2) * r / 32768}')" || break
    n=$((n + 1))
  done
  [ "$slower" = 1 ] || tell "rate/$1/$layer"
  (pull "$store" "$1") || { cat "$store.log"; fail "$1 after $n kills"; }
  sent=$(tell "sent/$1")
  right "$store" "$1"
  share=$(awk -v s="$sent" -v l="$layer" 'BEGIN {printf "%.3f", s / l}')
  say "$1: $n kills at random moments, $(grep -c 'go on with a layer' "$store.log") times gone on, sent $share of $layer bytes"
  [ "$n" -gt 1 ] || fail "$1: only $n kills"
  # Of four kills at random nothing follows.
  [ "$kills" -lt 50 ] || [ "$((sent * 100))" -le "$((layer * 115))" ] || fail "$1: sent $share of the layer"
}

# steady FORM: killed every two seconds until it is there. Where that is too short
# for a process to compare what is there, or to come to a checkpoint, it becomes
# longer, and that is said. Who never goes on arrives once that is as long as the
# layer takes: after 60 kills, of which one must have found a checkpoint.
steady() {
  local store=$work/$1.store n=0 layer every=2 sent=0 more gone
  gone=$(grep -c 'go on with a layer' "$store.log" || true)
  layer=$(find "$work/$1/blobs" -size +1M -printf '%s')
  tell "rate/$1/$((layer / 20))"
  tell "sent/$1" >/dev/null
  while killed "$store" "$1" "$every"; do
    n=$((n + 1))
    [ "$n" -lt 100 ] || fail "$1 did not arrive"
    more=$(tell "sent/$1")
    sent=$((sent + more))
    [ "$more" != 0 ] || every=$((every + 1))
    [ $((n % 20)) != 0 ] || every=$((every * 2))
  done
  sent=$((sent + $(tell "sent/$1")))
  gone=$(($(grep -c 'go on with a layer' "$store.log" || true) - gone))
  right "$store" "$1"
  say "$1: killed every $every seconds at last, $n times, $gone times gone on, sent $(awk -v s="$sent" -v l="$layer" 'BEGIN {printf "%.3f", s / l}')"
  [ "$n" -gt 1 ] || fail "$1: killed $n times"
  [ "$gone" -gt 0 ] || [ "$n" -lt 40 ] || fail "$1: killed $n times, and never gone on"
}

# all FUNCTION: of each form, side by side.
all() {
  local form processes=() p
  for form in "${forms[@]}"; do
    "$1" "$form" &
    processes+=($!)
  done
  for p in "${processes[@]}"; do wait "$p"; done
}

quiet plain seen
quiet tars seen.tars
all some
# What four large ones compare side by side takes longer than two seconds.
if [ "$kills" = 50 ]; then
  for form in "${forms[@]}"; do steady "$form"; done
else
  all steady
fi
