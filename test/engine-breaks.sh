#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What containerd has of an image when a give, a take, a hand-over or a repair is
# killed, or the engine is, or the power goes; tags that move, namespaces, many
# layers: engine-breaks.sh LAYERCTL. $LAYERCTL_KILLS is how many of each on each
# filesystem, 1 where nothing is said. Needs root, Go, runc, e2fsprogs, xfsprogs, jq and python3, and
# in $LAYERCTL_TEST_IMAGES an OCI layout alpine-3.20.
set -euo pipefail
# Where nobody gets a copy of the mounts whose power is cut.
[ -n "${LAYERCTL_APART:-}" ] || LAYERCTL_APART=1 exec unshare --mount "$0" "$@"
# shellcheck source=test/engine.sh
. "$(dirname "$0")/engine.sh"

build_engine
an_image mended
tar -C "$images/alpine-3.20" -cf "$work/alpine.tar" .
pull() { "$layerctl" pull --quiet --platform linux/amd64 "$@"; }

serial=0
# container IMAGE COMMAND…: ends as the command does in a container. What that
# prints would tell nothing: ctr closes its pipes once the container has ended,
# whether it has read them by then or not.
container() {
  local code=0
  run "$@" || code=$?
  # An engine that was killed while it made a snapshot cannot make the next one,
  # whoever asks for it, and removes then what is in the way.
  if [ "$code" != 0 ] && grep -q 'failed to rename: .*: file exists' "$work/err"; then
    code=0
    run "$@" || code=$?
  fi
  return "$code"
}
run() {
  serial=$((serial + 1))
  ctr run --rm --platform linux/amd64 "$1" "breaks-$$-$serial" "${@:2}" >"$work/err" 2>&1
}
# runs IMAGE: a container of it finds what Alpine has.
runs() { finds_alpine "$1" || broken "$1"; }
finds_alpine() { container "$1" grep -q '^3\.20\.' /etc/alpine-release; }
broken() { cat "$work/err"; fail "$1 is listed and does not run${when:+, $when}"; }
names() { ctr images ls -q | sort; }
# sound: what is listed runs, by each of its names. The engine goes on with the call
# of a client that was killed, and may remove a name after it was listed.
sound() {
  local name
  for name in $(names); do finds_alpine "$name" || ! names | grep -x "$name" >/dev/null || broken "$name"; done
}
# empty: there is nothing in the engine.
empty() {
  [ -z "$(names)" ] || fail "the engine lists $(names)${when:+, $when}"
  ctr content prune references >/dev/null
  [ "$(ctr snapshots ls | sed 1d | wc -l)" = 0 ] || { ctr snapshots ls; fail "snapshots are left${when:+, $when}"; }
  [ "$(ctr content ls -q | wc -l)" = 0 ] || { ctr content ls; fail "content is left${when:+, $when}"; }
  unleased
}
unleased() { [ "$(ctr leases ls -q | wc -l)" = 0 ] || fail "a lease is left${when:+, $when}"; }

image=oci:$work/mended name=localhost/mended:1
stored() {
  "$layerctl" images --json >"$work/images.json" || fail 'the images are not listed'
  jq -e --arg r "$image" 'any(.[]; .stored and (.references | index($r)))' "$work/images.json" >/dev/null
}
give() { "$layerctl" give --quiet --platform linux/amd64 --into "$into" --engine-name $name "$@" "$image"; }
hand_over() { give --hand-over; }
# pull_over hands over what it fetches.
pull_over() { pull --into "$into" --engine-name $name --hand-over "$image"; }
prune() { "$layerctl" prune --quiet >/dev/null; }
# collected: what was handed over goes when the engine removes it.
collected() {
  prune
  sound
  for n in $(names); do ctr images rm --sync "$n" >/dev/null; done
  empty
}
take() { "$layerctl" take --quiet --platform linux/amd64 "$image"; }

# cut: what was not written to the disk is lost, as in a power cut.
cut() { python3 -c 'import fcntl, os, struct, sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))' "$work/$kind"; }
# reboot: the filesystem is mounted again once nobody has the old one.
reboot() {
  ended KILL
  umount "$work/$kind"
  for _ in $(seq 300); do [ -n "$(losetup -j "$work/$kind.img")" ] || break; sleep 0.2; done
  mount -o loop "$work/$kind.img" "$work/$kind"
}

# The same number of kills, spread over the time that it takes.
killed() { # WHAT ROUND OF MICROSECONDS
  local pid code=0 at=$(($4 * ($2 * 1000 + RANDOM % 1000) / ($3 * 1000)))
  "$1" >"$work/out" 2>&1 &
  pid=$!
  sleep "$(printf '%d.%06d' $((at / 1000000)) $((at % 1000000)))"
  case ${victim:-} in
    engine) ended KILL ;;
    power) cut ;;
    *) pkill -KILL -P "$pid" || true ;;
  esac
  wait "$pid" 2>/dev/null || code=$?
  [ "$code" = 0 ] || hits=$((hits + 1))
  when="killed ${victim:+the $victim in }$1 after $at µs"
  case ${victim:-}$code in
    137 | 0 | engine0 | engine5 | engine9 | power*) ;;
    engine1 | engine6) [ "$1" = repair ] ;; # what it has is not repaired then
    *) cat "$work/out"; fail "$when: the exit code is $code" ;;
  esac
  if [ -n "${victim:-}" ]; then
    [ "$victim" != power ] || reboot
    rm -f "$work/c.sock"
    start "$bin/containerd"
  fi
}
# at_its_end WHAT: the power goes when it has ended.
at_its_end() {
  "$1"
  cut
  reboot
  when="cut the power at the end of $1"
  rm -f "$work/c.sock"
  start "$bin/containerd"
  sound
}

# among TEST…: the first that find finds among the snapshots; the engine removes
# directories meanwhile.
among() { { find "$work/$kind/engine/io.containerd.snapshotter.v1.overlayfs/snapshots" "$@" 2>/dev/null || true; } | head -n 1; }

# Of the image's layers in the engine, one file; where they are the store's too
# it rots in both.
file=data/keep/implied
rotten() {
  local found time
  found=$(among -path "*/fs/$file")
  time=$(stat -c %y "$found")
  printf '?\n' >"$found"
  touch -d "$time" "$found"
  sync -f "$found"
}
repair() { "$layerctl" verify --quiet --repair; }
repaired() {
  container $name grep -qx x /$file || { cat "$work/err"; fail "$when: a container has the damaged file"; }
  [ -z "$(among -maxdepth 2 -name 'layerctl-*')" ] || fail "$when: something is left beside a layer"
}
# repairs: of what the engine has, which is killed, or the power goes.
repairs() {
  local i code long
  rotten
  long=$(microseconds repair)
  for victim in '' engine power; do
    for ((i = 0; i < kills; i++)); do
      rotten
      killed repair "$i" "$kills" "$long"
      sound
      code=0
      "$layerctl" verify --quiet >"$work/out" 2>&1 || code=$?
      [ "$code" = 0 ] || [ "$code" = 6 ] || { cat "$work/out"; fail "$when: verify ends with $code"; }
      repair 2>"$work/out" || { cat "$work/out"; fail "$when: the next repair does not end well"; }
      repaired
    done
  done
  victim=
  rotten
  at_its_end repair
  "$layerctl" verify --quiet || fail "$when: it is not whole" # and removes what is not needed
  repaired
}

microseconds() { local t=$EPOCHREALTIME; "$@" >/dev/null; echo $((${EPOCHREALTIME/./} - ${t/./})); }

export LAYERCTL_STORE
for kind in ext4 xfs; do
  truncate -s 1G "$work/$kind.img"
  "mkfs.$kind" -q "$work/$kind.img"
  mkdir "$work/$kind"
  mount -o loop "$work/$kind.img" "$work/$kind"
  LAYERCTL_STORE=$work/$kind/store
  engine_config "$work/$kind/engine"
  start "$bin/containerd"
  pull "$image"
  kills=${LAYERCTL_KILLS:-1} hits=0
  long=$(microseconds give)
  for ((i = 0; i < kills; i++)); do
    take
    killed give "$i" "$kills" "$long"
    sound
    give
    sound
    [ -n "$(names)" ] || fail "$when: the next one gives nothing"
  done
  for ((i = 0; i < kills; i++)); do
    killed take "$i" "$kills" "$(microseconds take; give)"
    sound
    take
    empty
    give
  done
  take
  for ((i = 0; i < kills; i++)); do
    killed hand_over "$i" "$kills" "$long"
    sound
    # Once the store has forgotten it the engine has all of it.
    ! stored || hand_over
    [ -n "$(names)" ] || fail "$when: nobody has it"
    sound
    collected
    pull "$image"
  done
  for victim in engine power; do
    for ((i = 0; i < kills; i++)); do
      killed give "$i" "$kills" "$long"
      sound
      give
      sound
      killed take "$i" "$kills" "$long"
      sound
      take
      empty
    done
  done
  for ((i = 0; i < kills; i++)); do
    victim=power killed hand_over "$i" "$kills" "$long"
    sound
    ! stored || hand_over
    [ -n "$(names)" ] || fail "$when: nobody has it"
    sound
    collected
    pull "$image"
  done
  # Without the layer that the engine has from elsewhere, into another store.
  LAYERCTL_STORE=$work/$kind/other
  for victim in '' power; do
    for ((i = 0; i < kills; i++)); do
      ctr image import --platform linux/amd64 "$work/alpine.tar" >/dev/null
      sync -f "$work/$kind" # which the engine does not
      killed pull_over "$i" "$kills" "$long"
      sound
      # Nobody need pull it again for the engine to be rid of it.
      [ $((RANDOM % 2)) = 0 ] || [ ! -e "$LAYERCTL_STORE/store.json" ] || { prune; unleased; }
      pull_over
      runs $name
      ! stored || fail "$when: the store has what was handed over"
      collected
    done
  done
  LAYERCTL_STORE=$work/$kind/store
  victim=
  at_its_end give
  [ -n "$(names)" ] || fail "$when: it is gone"
  repairs
  at_its_end take
  empty
  hand_over
  prune
  repairs
  prune
  ! stored || fail "$when: a repair leaves in the store what was handed over"
  at_its_end prune
  collected
  when=
  "$layerctl" verify --quiet
  say "$kind: $hits of $((kills * 16)) came in time, and all ends well"
  when=
  stop
  umount "$work/$kind"
done


say '-- an engine that goes away between the pull and the give'
LAYERCTL_STORE=$work/store
engine_config "$work/root"
start "$bin/containerd"
code=0
# layerctl has reached the engine before it reads the archive, which is longer
# than a pipe.
{
  head -c 1000000 "$work/alpine.tar"
  kill -KILL "$engine"
  tail -c +1000001 "$work/alpine.tar"
} | pull --into "$into" --engine-name alpine:3.20 oci-archive:- 2>"$work/err" || code=$?
[ "$code" = 5 ] || [ "$code" = 9 ] || { cat "$work/err"; fail "the exit code is $code"; }
"$layerctl" images --json | jq -e 'length == 1' >/dev/null || fail 'what was pulled did not stay'
ended KILL
rm -f "$work/c.sock"
start "$bin/containerd"
sound
pull --into "$into" --engine-name alpine:3.20 oci-archive:- <"$work/alpine.tar"
runs docker.io/library/alpine:3.20

say '-- a tag that moves while a container of the old image runs'
pull --into "$into" --engine-name localhost/moved:1 "$image"
ctr run -d --platform linux/amd64 localhost/moved:1 "old-$$" sleep 1000 2>/dev/null
pull --into "$into" --engine-name localhost/moved:1 "oci:$images/alpine-3.20"
ctr images ls -q | grep -x localhost/moved:1 >/dev/null || fail 'a tag that moved is gone'
namespace=k8s.io runs localhost/moved:1
container localhost/moved:1 test ! -e /data || fail 'a tag that moved names the old image'
inside() { ctr task exec --exec-id "e$RANDOM" "old-$$" grep -qx below /data/swap/below; }
inside || fail 'the container of the old image has lost its files'
before=$(ctr snapshots ls | wc -l)
"$layerctl" rm --platform linux/amd64 "$image" 2>"$work/err" || { cat "$work/err"; fail 'rm'; }
ctr content prune references >/dev/null
inside || fail 'the container of the old image has lost its files to a collector'
ctr task rm -f "old-$$" >/dev/null
ctr containers rm "old-$$"
ctr content prune references >/dev/null
[ "$(ctr snapshots ls | wc -l)" -lt "$before" ] || fail 'the old image stays for ever'
runs localhost/moved:1

say '-- two namespaces'
for namespace in one two; do
  pull --into "$into" --namespace "$namespace" --engine-name $name "$image"
  runs $name
done
namespace=
"$layerctl" take --quiet --into "$into" --namespace one --platform linux/amd64 "$image"
namespace=one empty
namespace=two runs $name
"$layerctl" rm --quiet --platform linux/amd64 "$image"
namespace=two empty

say '-- many layers'
make_many() { test/engine-image.py --layers "$1" "$images/alpine-3.20" "$work/many-$1" "localhost/many:$1"; }
make_many 127
make_many 500
# shows LAYERS: one file of each but Alpine's is there.
shows() { container "localhost/many:$1" sh -c "[ \$(ls /many | wc -l) = $(($1 - 1)) ]" || { cat "$work/err"; fail "an image of $1 layers does not show all"; }; }
pull --into "$into" --engine-name localhost/many:127 "oci:$work/many-127"
shows 127
# How many go is a matter of the length of a page, and of the engine's root.
stop
rm -f "$work/c.sock"
engine_config "$work/$(printf 'long-%.0s' {1..50})/root"
start "$bin/containerd"
code=0
pull --into "$into" --engine-name localhost/many:500 "oci:$work/many-500" 2>"$work/err" || code=$?
if [ "$code" != 8 ] || ! grep -q 'its 500 layers take' "$work/err"; then
  cat "$work/err"
  fail "500 layers that cannot be mounted: the exit code is $code"
fi
"$layerctl" images >"$work/images"
! grep many-500 "$work/images" || fail 'and they are pulled'
empty
if [ -n "${LAYERCTL_KILLS:-}" ]; then # it takes its time
  stop
  rm -f "$work/c.sock"
  engine_config "$work/root"
  start "$bin/containerd"
  pull --into "$into" --engine-name localhost/many:500 "oci:$work/many-500"
  shows 500
fi
say '-- done'
