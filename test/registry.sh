# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# shellcheck disable=SC2034,SC2154 # for who sources this, or theirs
#
# Sourced: start_registry serves Debian's docker-registry from $work on localhost,
# at $port, as the process $registry. It needs fail, of compare.sh.

start_registry() {
  port=$(shuf -i 20000-40000 -n 1)
  cat >"$work/registry.yml" <<CONFIG
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: '127.0.0.1:$port'}
CONFIG
  docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
  registry=$!
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
    kill -0 "$registry" || { cat "$work/registry.log"; fail 'the registry did not start'; }
    sleep 0.1
  done
  fail 'the registry does not answer'
}
