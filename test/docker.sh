# SPDX-License-Identifier: Apache-2.0
#
# For the other scripts to source: a Docker engine and a containerd of their
# own, Debian's docker.io and containerd, that share nothing with what runs on
# the machine. They have no network: an image is loaded, or pulled and built
# with --network=host. Needs root, and $work, a directory of the script's.
# shellcheck shell=bash disable=SC2154

docker_pids=()

# start_containerd: $CONTAINERD_ADDRESS is where ctr finds it.
start_containerd() {
  local dir=$work/containerd
  mkdir -p "$dir"
  cat >"$dir/config.toml" <<CONFIG
version = 2
root = '$dir/root'
state = '$dir/state'
disabled_plugins = ['io.containerd.grpc.v1.cri', 'io.containerd.internal.v1.opt']
[grpc]
  address = '$dir/sock'
[ttrpc]
  address = '$dir/ttrpc'
CONFIG
  containerd --config "$dir/config.toml" >"$dir/log" 2>&1 &
  docker_pids+=($!)
  export CONTAINERD_ADDRESS=$dir/sock
  answers "$dir/log" ctr version
}

# start_docker: $DOCKER_HOST is where docker finds it, and $DOCKER_CONFIG an
# empty directory of its own. $docker_driver is its storage driver, or overlay2.
start_docker() {
  local dir=$work/docker
  [ -n "${CONTAINERD_ADDRESS:-}" ] || start_containerd
  mkdir -p "$dir/config"
  echo '{}' >"$dir/daemon.json" # instead of /etc/docker's
  # Neither bridge nor firewall of the machine is touched.
  dockerd --config-file "$dir/daemon.json" --data-root "$dir/root" --exec-root "$dir/exec" --pidfile "$dir/pid" \
    --host "unix://$dir/sock" --containerd "$CONTAINERD_ADDRESS" --containerd-namespace docker-test \
    --containerd-plugins-namespace docker-test-plugins --storage-driver "${docker_driver:-overlay2}" \
    --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --userland-proxy=false \
    >"$dir/log" 2>&1 &
  docker_pids+=($!)
  export DOCKER_HOST=unix://$dir/sock DOCKER_CONFIG=$dir/config
  answers "$dir/log" docker version
}

# answers LOG COMMAND…: waits until the daemon that was started last answers.
answers() {
  local log=$1
  shift
  for _ in $(seq 900); do
    if "$@" >/dev/null 2>&1; then return; fi
    kill -0 "${docker_pids[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$log" >&2
  echo "${0##*/}: '$*' gets no answer" >&2
  return 1
}

# stop_docker: stops what was started, the engine first, and unmounts what it
# left. For a script's cleanup, before it removes $work.
stop_docker() {
  local pid mounted i
  for ((i = ${#docker_pids[@]} - 1; i >= 0; i--)); do
    pid=${docker_pids[i]}
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  docker_pids=()
  while read -r mounted; do umount -l "$mounted" || true; done < <(awk -v w="$work/" 'index($5, w) == 1 {print $5}' /proc/self/mountinfo | sort -r)
  unset DOCKER_HOST DOCKER_CONFIG CONTAINERD_ADDRESS
}
