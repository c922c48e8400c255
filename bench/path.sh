#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# One file out of an image of about 300 MB: path.sh LAYERCTL CRANE. Measures
# 'layerctl unpack --path' beside 'crane export | tar x', in turn, bytes as the
# registry sent them. Needs Debian's docker-registry and curl.
set -euo pipefail
layerctl=$(realpath "$1") crane=$(realpath "$2")
runs=${RUNS:-5}

work=$(mktemp -d)
registry=
cleanup() {
  [ -z "$registry" ] || kill "$registry" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
export HOME=$work LAYERCTL_STORE=$work/store

cat >"$work/registry.yml" <<END
version: 0.1
log: {level: info, formatter: json, accesslog: {disabled: false}}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "127.0.0.1:0"}
END
docker-registry serve "$work/registry.yml" >"$work/log" 2>&1 &
registry=$!
host=
for _ in $(seq 100); do
  host=$(grep -o 'listening on 127.0.0.1:[0-9]*' "$work/log" | grep -o '127.*' || true)
  [ -z "$host" ] || break
  sleep 0.1
done

# Five layers of files of this machine: the lowest has more than half of it.
find /usr/share /usr/lib -xdev -type f -size -4096k -printf '%s\t%P\t%H\n' |
  awk -F'\t' '{ print $1 "\t" substr($3, 2) "/" $2 }' | LC_ALL=C sort -t"$(printf '\t')" -k2 |
  awk -F'\t' -v work="$work" 'BEGIN { split("170 210 250 290 300", end, " "); i = 1 }
    { s += $1; while (i < 5 && s > end[i] * 1e6) i++; if (s <= 3e8) print $2 > (work "/list" i) }'
layers=()
for i in 1 2 3 4 5; do
  tar -C / -c -T "$work/list$i" -f "$work/$i.tar"
  layers+=(-f "$work/$i.tar")
done
image=$host/bench:300
"$crane" append --insecure "${layers[@]}" -t "$image" >/dev/null 2>&1
du -cb "$work"/?.tar | awk '{ printf "%s %.1f MB\n", $2, $1 / 1e6 }' | sed "s,$work/,,"

# sent prints how many bytes of blobs the registry has sent since the line FROM
# of its access log.
sent() {
  sleep 0.3
  tail -n "+$1" "$work/log" | grep -E '^[^{].*"GET /v2/[^ ]*/blobs/' | sed 's/.*" 20[0-9] \([0-9]*\) .*/\1/' | awk '{ s += $1 } END { printf "%.1f", s / 1e6 }'
}

by_layerctl() { "$layerctl" --quiet --plain-http "$host" unpack --path "$1" "$image" "$2"; }
by_crane() {
  mkdir "$2"
  "$crane" export --insecure "$image" - | tar -x -C "$2" "$1"
}

# measure NAME COMMAND PATH notes seconds, processor seconds and bytes of one
# run: on a machine that others use too the second say more than the first.
measure() {
  local from spent
  from=$(($(wc -l <"$work/log") + 1))
  spent=$( (TIMEFORMAT='%R %U %S'; time "$2" "$3" "$work/out-$1" 2>"$work/errors") 2>&1)
  printf '%s %s %s\n' "$1" "$spent" "$(sent "$from")" >>"$work/results"
}

for place in 5:top 3:middle 1:lowest; do
  path=$(sed -n 10p "$work/list${place%%:*}")
  : >"$work/results"
  for _ in $(seq "$runs"); do
    measure layerctl by_layerctl "$path"
    measure crane by_crane "$path"
    cmp "$work/out-layerctl/$path" "$work/out-crane/$path"
    rm -rf "$work/out-layerctl" "$work/out-crane"
  done
  for tool in layerctl crane; do
    grep "^$tool" "$work/results" | sort -n -k2 |
      awk -v tool="$tool" -v where="${place##*:} layer" '{ s[NR] = $2; cpu += $3 + $4; mb = $5 }
        END { printf "%-12s %-9s median %5.2f s, mean %5.2f s of processors, %6.1f MB read\n", where, tool, s[int((NR + 1) / 2)], cpu / NR, mb }'
  done
done
