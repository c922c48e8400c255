# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# shellcheck disable=SC2034,SC2154 # for scripts that source this, or from them
#
# Sourced: start_registry serves Debian's docker-registry from $work on localhost,
# at $port, as the process $registry, until stop_registry; where $logged is set it
# writes each request to $work/registry.log. any_port and listens are for other
# servers. It needs fail, of compare.sh.

# any_port: one below those that the kernel gives out. It may be taken.
any_port() { shuf -i 20000-32000 -n 1; }

# listens PORT PROCESS: waits until the process answers there; false where it has
# ended, for another may have the port.
listens() {
  for _ in $(seq 600); do
    kill -0 "$2" 2>/dev/null || return 1
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
      sleep 0.2
      kill -0 "$2" 2>/dev/null
      return
    fi
    sleep 0.1
  done
  fail "nothing answers at port $1"
}

start_registry() {
  for _ in 1 2 3 4 5; do
    port=$(any_port)
    cat >"$work/registry.yml" <<CONFIG
version: 0.1
log: {level: error, accesslog: {disabled: $([ -n "${logged:-}" ] && echo false || echo true)}}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: '127.0.0.1:$port'}
CONFIG
    docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
    registry=$!
    ! listens "$port" "$registry" || return 0
  done
  cat "$work/registry.log"
  fail 'the registry did not start'
}

stop_registry() {
  kill "$registry" 2>/dev/null || true
  wait "$registry" 2>/dev/null || true
  registry=
}
