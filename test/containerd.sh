#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Images that containerd runs as layerctl gave them, with no registry in reach:
# containerd.sh LAYERCTL. Pods by crictl in containerd 2.4, which are built from
# the Go module proxy, or taken from $LAYERCTL_ENGINES; containers by ctr in
# Debian's 1.6. Needs root, Go, Debian's containerd, docker-registry, skopeo, runc,
# attr, jq and python3, and in $LAYERCTL_TEST_IMAGES an OCI layout alpine-3.20.
set -euo pipefail
# In a mount namespace of its own: another program's copies of its mounts keep an
# image from being removed.
[ -n "${LAYERCTL_APART:-}" ] || LAYERCTL_APART=1 exec unshare --mount "$0" "$@"
# shellcheck source=test/engine.sh
. "$(dirname "$0")/engine.sh"
# shellcheck source=test/registry.sh
. test/registry.sh

say '-- build the engine'
build_engine
build_pause
an_image mended
an_image foreign --foreign
tar -C "$work/mended" -cf "$work/mended.tar" .

export LAYERCTL_STORE=$work/store
pull() { "$layerctl" pull --quiet --platform linux/amd64 --into "$into" --engine-name "$2" "${@:3}" "$1"; }

# seen DIR: what an image shows, but for how many names files have beside those
# in the image. With a word after it also the times of directories, which
# containerd sets to now where it makes anything in one.
seen() (
  cd "$1"
  find . -mindepth 1 -printf '%p %y %m %U:%G %l ' \( -type d -printf '\n' -o -printf '%s %T@\n' \) | sort
  [ -z "${2:-}" ] || find . -mindepth 1 -type d -printf '%p %T@\n' | sort
  find . -print0 | sort -z | xargs -0 getfattr -h -d -m - 2>/dev/null
  find . -type f -print0 | sort -z | xargs -0 -r sha256sum
  # The names of one file, on a line.
  find . ! -type d -printf '%i %p\n' | sort | awk '{n[$1] = n[$1] " " $2; c[$1]++} END {for (i in n) if (c[i] > 1) print n[i]}' | sort
)
equal() { diff -u <(seen "$1" "${4:-}") <(seen "$2" "${4:-}") >"$work/diff" || { head -n 40 "$work/diff"; fail "$3"; }; }

# compare CTR: what was given beside what the engine has unpacked itself.
compare() {
  "$1" -a "$work/c.sock" -n own image import --platform linux/amd64 "$work/mended.tar" >/dev/null
  mkdir -p "$work/own" "$work/given"
  "$1" -a "$work/c.sock" -n own image mount --platform linux/amd64 localhost/mended:1 "$work/own" >/dev/null
  "$1" -a "$work/c.sock" -n "$2" image mount --platform linux/amd64 localhost/mended:1 "$work/given" >/dev/null
  equal "$work/own" "$work/given" 'an image shows something else than what the engine unpacks'
  # The times of directories too are those of a mount, and so is the image that
  # containerd cannot unpack.
  mkdir -p "$work/mounted" "$work/foreign-mounted" "$work/foreign-given"
  "$layerctl" mount --quiet --platform linux/amd64 "oci:$work/mended" "$work/mounted"
  equal "$work/mounted" "$work/given" 'an image shows something else than its mount' times
  "$1" -a "$work/c.sock" -n "$2" image mount --platform linux/amd64 localhost/foreign:1 "$work/foreign-given" >/dev/null
  "$layerctl" mount --quiet --platform linux/amd64 "oci:$work/foreign" "$work/foreign-mounted"
  equal "$work/foreign-mounted" "$work/foreign-given" 'an image with links shows something else than its mount' times
}
released() { # CTR NAMESPACE
  "$1" -a "$work/c.sock" -n own image unmount --rm "$work/own" >/dev/null
  "$1" -a "$work/c.sock" -n "$2" image unmount --rm "$work/given" >/dev/null
  "$1" -a "$work/c.sock" -n "$2" image unmount --rm "$work/foreign-given" >/dev/null
  umount "$work/mounted" "$work/foreign-mounted"
}

engine_config "$work/root"

# image NAME: what the runtime says of it, or nothing.
image() { crictl images -o json | jq -c --arg n "$1:" '.images[] | select(any(.repoTags[]; startswith($n)))'; }

# The runtime sees a little later what changes in its engine.
listed() {
  for _ in $(seq 300); do
    [ -z "$(image "$1")" ] || return 0
    sleep 0.2
  done
  return 1
}
unlisted() {
  for _ in $(seq 300); do
    [ -n "$(image "$1")" ] || return 0
    sleep 0.2
  done
  return 1
}
pinned() { [ "$(image "$1" | jq .pinned)" = true ]; }

# pod NAME IMAGE: a pod on the host's network that prints what its image has.
pod() {
  jq -n --arg n "$1" --arg w "$work" '{metadata: {name: $n, namespace: "default", uid: $n, attempt: 1}, log_directory: $w, linux: {security_context: {namespace_options: {network: 2}}}}' >"$work/pod.json"
  jq -n --arg i "$2" --arg n "$1" '{metadata: {name: $n}, image: {image: $i}, command: ["/bin/sh", "-c", "cat /etc/alpine-release; echo started; exec sleep 1000"], log_path: ($n + ".log"), linux: {}}' >"$work/container.json"
  local sandbox container
  sandbox=$(crictl runp "$work/pod.json")
  container=$(crictl create "$sandbox" "$work/container.json" "$work/pod.json")
  crictl start "$container" >/dev/null
  for _ in $(seq 300); do ! crictl logs "$container" 2>/dev/null | grep -x started >/dev/null || break; sleep 0.2; done
  crictl logs "$container" >"$work/log"
  if ! grep -q '^3\.20\.' "$work/log" || ! grep -qx started "$work/log"; then
    cat "$work/log"
    fail "a container of $2 does not say what it should"
  fi
  echo "$container" >"$work/container"
}

say '-- containerd 2.4: images that were only given'
start "$bin/containerd"
ctr=$bin/ctr
pull "oci:$work/pause-image" localhost/pause:1
pull "oci:$images/alpine-3.20" alpine:3.20
pull "oci:$work/mended" localhost/mended:1
pull "oci:$work/foreign" localhost/foreign:1
crictl images
for name in localhost/pause docker.io/library/alpine localhost/mended; do
  listed "$name" || fail "$name is not listed"
  pinned "$name" || fail "$name is not pinned"
done
"$layerctl" images --json | jq -e 'length == 4 and all(.[]; .engines[0].namespace == "k8s.io" and .engines[0].complete)' >/dev/null || fail 'images does not name the engine'
[ "$("$ctr" -a "$work/c.sock" -n k8s.io leases ls -q | wc -l)" = 0 ] || fail 'a lease is left'
compare "$ctr" k8s.io
linked=$(find "$work/root/io.containerd.snapshotter.v1.overlayfs" -type f -links +1 -path '*/bin/busybox' 2>/dev/null || true)
[ -n "$linked" ] || fail 'the files are not linked'

say '-- the same from a store of tars'
of_tars() { env LAYERCTL_STORE="$work/tars" CONTAINERD_NAMESPACE=tars "$layerctl" "$@"; }
of_tars pull --quiet --lower tar --platform linux/amd64 --into "$into" --engine-name localhost/mended:1 "oci:$work/mended"
mkdir "$work/tars-given" "$work/tars-mounted"
"$ctr" -a "$work/c.sock" -n tars image mount --platform linux/amd64 localhost/mended:1 "$work/tars-given" >/dev/null
of_tars mount --quiet --platform linux/amd64 "oci:$work/mended" "$work/tars-mounted"
equal "$work/tars-mounted" "$work/tars-given" 'an image of tars shows something else than its mount' times
of_tars verify --quiet || fail 'what tars were given as does not verify'
"$ctr" -a "$work/c.sock" -n tars image unmount --rm "$work/tars-given" >/dev/null
of_tars umount "$work/tars-mounted"
[ -z "$(ls "$work/tars/staging")" ] || fail 'directories of the tars are left'
of_tars take --platform linux/amd64 --into "$into" "oci:$work/mended"
[ -z "$("$ctr" -a "$work/c.sock" -n tars images ls -q)" ] || fail 'what tars were given as is not taken'

say '-- pods of them'
pod one docker.io/library/alpine:3.20
pod two localhost/mended:1
rootfs=$work/state/io.containerd.runtime.v2.task/k8s.io/$(cat "$work/container")/rootfs
listing() (cd "$1" && find . -xdev \( -path ./dev -o -path ./proc -o -path ./sys -o -path ./run -o -path ./var/run -o -path ./etc -prune \) -prune -o -mindepth 1 -printf '%p %y %m %U:%G %l\n' | sort)
diff -u <(listing "$work/own") <(listing "$rootfs") >"$work/diff" || { head -n 40 "$work/diff"; fail "a container's root is not its image"; }
released "$ctr" k8s.io

say '-- rot, and its repair'
# has CONTAINER LINE: it finds that in the file.
has() { "$ctr" -a "$work/c.sock" -n k8s.io task exec --exec-id "e$RANDOM" "$1" grep -qxF "$2" /data/keep/implied; }
# The one that the container has. The engine removes directories meanwhile.
found() {
  local inode
  inode=$(stat -c %i "$work/state/io.containerd.runtime.v2.task/k8s.io/$(cat "$work/container")/rootfs/$1")
  { find "$work/root/io.containerd.snapshotter.v1.overlayfs" -path "*/fs/$1" -inum "$inode" 2>/dev/null || true; } | head -n 1
}
rotten() { # of a file that the store may have, too
  local file time
  file=$(found data/keep/implied)
  time=$(stat -c %y "$file")
  printf '?\n' >"$file"
  touch -d "$time" "$file"
}
code() { local code=0; "$@" >"$work/out" 2>"$work/err" || code=$?; echo "$code"; }
mended=$(cat "$work/container")
rotten
[ "$(code "$layerctl" verify)" = 6 ] || fail 'rot is not named'
[ "$(code "$layerctl" verify --repair)" = 0 ] || { cat "$work/out" "$work/err"; fail 'no repair'; }
has "$mended" '?' || fail 'a container that runs does not go on with its old files'
pod repaired localhost/mended:1
has "$(cat "$work/container")" x || fail 'a container that is started after a repair has the old files'
echo "$mended" >"$work/container"

say '-- the same after a restart'
stop
start "$bin/containerd"
for name in localhost/pause docker.io/library/alpine localhost/mended; do listed "$name" || fail "$name is gone"; done
pod three localhost/mended:1
compare "$ctr" k8s.io
released "$ctr" k8s.io
crictl rmi --prune >/dev/null 2>&1 || true
listed docker.io/library/alpine || fail "a pinned image is gone after 'crictl rmi --prune'"

say '-- taken back, the collector frees it'
crictl rm -af >/dev/null
crictl rmp -af >/dev/null
snapshots() { "$ctr" -a "$work/c.sock" -n k8s.io snapshots ls | sed 1d | wc -l; }
before=$(snapshots)
"$layerctl" rm --quiet --platform linux/amd64 "oci:$work/mended"
unlisted localhost/mended || fail 'what was removed is listed'
[ "$(snapshots)" -lt "$before" ] || fail 'and its snapshots are there'
"$layerctl" give --quiet --platform linux/amd64 --into "$into" --engine-name alpine:3.20 --hand-over "oci:$images/alpine-3.20"
for _ in $(seq 300); do pinned docker.io/library/alpine || break; sleep 0.2; done
! pinned docker.io/library/alpine || fail 'what was handed over is pinned'
"$layerctl" rm --quiet --platform linux/amd64 "oci:$work/foreign"
"$layerctl" prune --quiet >/dev/null
listed docker.io/library/alpine || fail 'what was handed over is gone with the store'
"$layerctl" images --json | jq -e 'any(.[]; .stored == false and .engines[0].handedOver)' >/dev/null || fail 'images does not name what was handed over'
pod four docker.io/library/alpine:3.20
rm "$(found etc/motd)"
[ "$(code "$layerctl" verify)" = 6 ] || fail "rot of what was handed over is not named"
grep -q "etc/motd.*missing" "$work/out" || fail "rot of what was handed over is not named"
[ "$(code "$layerctl" verify --repair)" = 0 ] || { cat "$work/err"; fail 'no repair of what was handed over'; }
# Also where the pull that handed it over died before the store forgot it.
"$layerctl" pull --quiet --platform linux/amd64 "oci:$images/alpine-3.20"
"$layerctl" pull --platform linux/amd64 --into "$into" --engine-name alpine:3.20 --hand-over "oci:$images/alpine-3.20" 2>&1 | grep 'has it already' >/dev/null || fail 'what the engine has is pulled again'
"$layerctl" images --json >"$work/images.json"
jq -e --arg r "oci:$images/alpine-3.20" 'any(.[]; .stored and (.references | index($r))) | not' "$work/images.json" >/dev/null || fail 'the store has what the engine has'
crictl rm -af >/dev/null
crictl rmp -af >/dev/null
crictl rmi docker.io/library/alpine:3.20 >/dev/null
"$ctr" -a "$work/c.sock" -n k8s.io content prune references >/dev/null
[ "$(snapshots)" = 1 ] || fail 'more than the pause image is left'
"$layerctl" prune --quiet >/dev/null
[ -z "$(ls "$LAYERCTL_STORE/engines/journals")" ] || fail 'journals of what was handed over are left'

say '-- handed over without what the engine has'
logged=yes start_registry
for name in mended foreign; do skopeo copy -q --dest-tls-verify=false "oci:$work/$name" "docker://localhost:$port/$name:1"; done
# Alpine as the engine has unpacked it itself, which another image may take away.
above() { env LAYERCTL_STORE="$work/above" CONTAINERD_NAMESPACE=above "$layerctl" "$@"; }
above_ctr() { "$ctr" -a "$work/c.sock" -n above "$@"; }
tar -C "$images/alpine-3.20" -cf "$work/alpine.tar" .
# How many blobs the registry was asked for. It writes that after it has answered.
asked_for() {
  local before=-1 now
  while now=$(grep -c 'GET /v2/.*/blobs/' "$work/registry.log" || true); [ "$now" != "$before" ]; do
    before=$now
    sleep 0.3
  done
  echo "$now"
}
# hand_over NAME BLOBS: and how many blobs the registry was asked for; that many are
# waited for.
hand_over() {
  local before after
  before=$(asked_for)
  above pull --platform linux/amd64 --into "$into" --engine-name "localhost/$1:1" --hand-over --plain-http "localhost:$port" "localhost:$port/$1:1" 2>"$work/err" || { cat "$work/err"; fail "$1 is not handed over"; }
  for _ in $(seq 100); do
    after=$(asked_for)
    blobs=$((after - before))
    [ "$blobs" -lt "$2" ] || break
  done
}
above_ctr image import --platform linux/amd64 "$work/alpine.tar" >/dev/null
hand_over mended 5
[ "$blobs" = 5 ] || fail "of an image of five blobs, one of which the engine has, and its configuration $blobs were asked for"
[ "$(above images --json | jq length)" = 1 ] || fail 'the store has what it has not whole'
above verify >"$work/out" 2>"$work/err" || { cat "$work/out" "$work/err"; fail 'what was handed over without its lowest layer does not verify'; }
grep -q ': 1 layer not compared' "$work/err" || fail 'verify does not say what it cannot compare'
hand_over foreign 4
[ "$blobs" = 4 ] || { cat "$work/err"; fail "of an image that links to files of a layer that the engine has $blobs blobs were asked for"; }
grep -q 'is fetched too: ' "$work/err" || fail 'it is not said why'
[ "$(above_ctr leases ls -q | wc -l)" = 0 ] || fail 'a lease is left'
for name in $(above_ctr images ls -q | grep -v '^localhost/'); do above_ctr images rm --sync "$name" >/dev/null; done
for name in mended foreign; do
  mkdir "$work/above-$name" "$work/above-$name-mounted"
  above_ctr image mount --platform linux/amd64 "localhost/$name:1" "$work/above-$name" >/dev/null
  # Without the engine all of it is fetched.
  above pull --quiet --platform linux/amd64 --plain-http "localhost:$port" "localhost:$port/$name:1"
  above mount --quiet --platform linux/amd64 --plain-http "localhost:$port" "localhost:$port/$name:1" "$work/above-$name-mounted"
  equal "$work/above-$name-mounted" "$work/above-$name" "$name, handed over without its lowest layer, shows something else than its mount" times
  above_ctr image unmount --rm "$work/above-$name" >/dev/null
  above umount "$work/above-$name-mounted"
done
stop_registry
for name in $(above_ctr images ls -q); do above_ctr images rm --sync "$name" >/dev/null; done
[ "$(above_ctr snapshots ls | sed 1d | wc -l)" = 0 ] || fail 'layers of what was handed over are left'

say '-- with its compressed layers'
"$layerctl" pull --quiet --platform linux/amd64 --into "$into" --engine-name localhost/blobs:1 --keep-blobs "oci:$work/mended"
"$ctr" -a "$work/c.sock" -n k8s.io images check name==localhost/blobs:1 2>/dev/null | grep -F 'complete (7/7)' >/dev/null || { "$ctr" -a "$work/c.sock" -n k8s.io images check name==localhost/blobs:1; fail 'the compressed layers are not all there'; }
"$ctr" -a "$work/c.sock" -n k8s.io images export --platform linux/amd64 "$work/exported.tar" localhost/blobs:1
"$layerctl" ls --platform linux/amd64 "oci-archive:$work/exported.tar" >/dev/null || fail 'what the engine exports is no image'
start_registry
"$ctr" -a "$work/c.sock" -n k8s.io images push --plain-http --platform linux/amd64 "localhost:$port/pushed:1" localhost/blobs:1 >/dev/null 2>"$work/err" || { cat "$work/err"; fail 'the engine cannot push it'; }
env LAYERCTL_STORE="$work/pushed" "$layerctl" pull --quiet --plain-http "localhost:$port" --platform linux/amd64 "localhost:$port/pushed:1" || fail 'what the engine has pushed is no image'
stop_registry
"$layerctl" rm --quiet --platform linux/amd64 "oci:$work/mended"
[ "$("$ctr" -a "$work/c.sock" -n k8s.io content ls -q | wc -l)" -le 3 ] || fail 'compressed layers are left'

say '-- an engine that is not there'
stop
rm -f "$work/c.sock"
code=0
pull "oci:$work/mended" localhost/mended:1 2>"$work/err" || code=$?
[ "$code" = 5 ] || { cat "$work/err"; fail "without an engine the exit code is $code"; }
"$layerctl" rm --platform linux/amd64 "oci:$work/pause-image" 2>"$work/err"
grep -q 'later prune' "$work/err" || fail 'rm does not say that the engine has it still'
start "$bin/containerd"
listed localhost/pause || fail 'the engine has lost an image'
"$layerctl" prune --quiet >/dev/null
unlisted localhost/pause || fail 'prune does not take back what rm could not'
stop
rm -f "$work/c.sock"

say '-- Debian 1.6'
rm -rf "$work/root" "$work/state" "$work/store"
cat >"$work/config.toml" <<TOML
version = 2
root = "$work/root"
state = "$work/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$work/c.sock"
[ttrpc]
  address = "$work/c.ttrpc"
TOML
start /usr/bin/containerd
pull "oci:$work/mended" localhost/mended:1
pull "oci:$work/foreign" localhost/foreign:1
pull "oci:$images/alpine-3.20" alpine:3.20
compare /usr/bin/ctr default
released /usr/bin/ctr default
run_old() {
  for image in docker.io/library/alpine:3.20 localhost/mended:1; do
    # Not by what it prints, which ctr may not have read when the container ends.
    /usr/bin/ctr -a "$work/c.sock" run --rm --platform linux/amd64 "$image" "layerctl-test-$$" grep -q '^3\.20\.' /etc/alpine-release || fail "$image does not run${1:+ $1}"
  done
}
run_old
stop
start /usr/bin/containerd
run_old 'after a restart'
say '-- done'
