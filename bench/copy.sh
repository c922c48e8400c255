#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Copies an image from one docker-registry to another over loopback, side by side
# with crane and skopeo where they are: copy.sh LAYERCTL LAYOUT[:TAG] [ROUNDS].
# Prints wall and CPU seconds, the largest memory in KiB, and what the program
# wrote to disks in blocks of 512 bytes. Needs docker-registry, skopeo and GNU
# time; the machine should do nothing else.
set -euo pipefail
layerctl=$(realpath "$1")
layout=$2
work=$(mktemp -d)
pids=()
stop() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"; }
trap stop EXIT
serve() { # NAME; its address is in $address
  local port
  port=$(shuf -i 20000-32000 -n 1)
  printf '%s\n' 'version: 0.1' 'log: {level: error, accesslog: {disabled: true}}' \
    "storage: {filesystem: {rootdirectory: $work/$1}}" "http: {addr: '127.0.0.1:$port'}" >"$work/$1.yml"
  docker-registry serve "$work/$1.yml" >"$work/$1.log" 2>&1 &
  pids+=($!)
  address=127.0.0.1:$port
  until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do kill -0 $!; sleep 0.1; done
}
serve from
from=$address/image:1
plain=(--plain-http "$address")
"$layerctl" copy -q "${plain[@]}" "oci:$layout" "$from" >/dev/null
for round in $(seq "${3:-3}"); do
  for tool in layerctl crane skopeo; do
    command -v $tool >/dev/null || [ $tool = layerctl ] || continue
    serve "$tool$round"
    to=$address/image:1
    case $tool in
      layerctl) command=("$layerctl" copy -q "${plain[@]}" --plain-http "$address" "$from" "$to") ;;
      crane) command=(crane copy --insecure "$from" "$to") ;;
      skopeo) command=(skopeo copy -q --all --src-tls-verify=false --dest-tls-verify=false "docker://$from" "docker://$to") ;;
    esac
    /usr/bin/time -o "$work/time" -f '%e s, %U + %S s CPU, %M KiB, %O blocks written' "${command[@]}" >/dev/null 2>&1
    echo "$tool: $(cat "$work/time")"
    kill "${pids[-1]}"
    rm -rf "${work:?}/$tool$round"
  done
done
