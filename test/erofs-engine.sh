#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Images of a store of tars that containerd's snapshotter erofs runs without a
# copy: erofs-engine.sh LAYERCTL. Needs what containerd.sh needs, and a kernel with
# EROFS from files.
set -euo pipefail
# In a mount namespace of its own: another program's copies of its mounts keep an
# image from being removed.
[ -n "${LAYERCTL_APART:-}" ] || LAYERCTL_APART=1 exec unshare --mount "$0" "$@"
# shellcheck source=test/engine.sh
. "$(dirname "$0")/engine.sh"
# What it made immutable could not be removed.
trap 'chattr -R -i "$work/root" 2>/dev/null || true; cleanup' EXIT
build_engine
build_pause
an_image mended
an_image foreign --foreign

export LAYERCTL_STORE=$work/store CONTAINERD_NAMESPACE=k8s.io CONTAINERD_SNAPSHOTTER=erofs
pull() { "$layerctl" pull --quiet --platform linux/amd64 --lower tar --into "$into" --engine-name "$2" "${@:3}" "$1"; }
seen() (
  cd "$1"
  find . -mindepth 1 -printf '%p %y %m %U:%G %T@ %l ' \( -type d -printf '\n' -o -printf '%s\n' \) | sort
  find . -print0 | sort -z | xargs -0 getfattr -h -d -m - 2>/dev/null
  find . -type f -print0 | sort -z | xargs -0 -r sha256sum
  find . ! -type d -printf '%i %p\n' | sort | awk '{n[$1] = n[$1] " " $2; c[$1]++} END {for (i in n) if (c[i] > 1) print n[i]}' | sort
)
equal() { diff -u <(seen "$1") <(seen "$2") >"$work/diff" || { head -n 40 "$work/diff"; fail "$3"; }; }
snapshots() { find "$work/root/io.containerd.snapshotter.v1.erofs/snapshots" -name layer.erofs -size +4096c; } # but for probes, which the collector takes

engine_config "$work/root"
# What the kubelet starts is of this snapshotter too.
sed -i "s/^\[plugins.'io.containerd.cri.v1.images'.pinned_images\]/[plugins.'io.containerd.cri.v1.images']\n  snapshotter = 'erofs'\n&/" "$work/config.toml"

say '-- images that were only given'
start "$bin/containerd"
pull "oci:$work/pause-image" localhost/pause:1
pull "oci:$images/alpine-3.20" docker.io/library/alpine:3.20
pull "oci:$work/mended" localhost/mended:1
pull "oci:$work/foreign" localhost/foreign:1
[ -n "$(snapshots)" ] || fail 'the engine has no file of a layer'
for file in $(snapshots); do [ "$(stat -c %h "$file")" -ge 2 ] || fail "$file is not a link to the store's"; done
[ "$(ctr leases ls -q | wc -l)" = 0 ] || fail 'a lease is left'
ctr snapshots --snapshotter erofs ls >"$work/out"
! grep probe "$work/out" || fail 'a probe is left'
"$layerctl" verify --quiet || fail 'what was given does not verify'

say '-- each as its mount'
for name in mended foreign; do
  # Each at a place of its own, for the engine forgets a mount some time later.
  mkdir "$work/given-$name" "$work/mounted-$name"
  ctr image mount --snapshotter erofs --platform linux/amd64 "localhost/$name:1" "$work/given-$name" >/dev/null
  "$layerctl" mount --quiet --platform linux/amd64 "oci:$work/$name" "$work/mounted-$name"
  equal "$work/mounted-$name" "$work/given-$name" "$name shows something else than its mount"
  ctr image unmount --rm "$work/given-$name" >/dev/null
  "$layerctl" umount "$work/mounted-$name"
done

say '-- containers, and a pod as a kubelet would have it'
# Not by what it prints, which ctr may not have read when the container ends.
runs() { ctr run --rm --snapshotter erofs docker.io/library/alpine:3.20 "$1" sh -c 'echo new >/etc/alpine-release && echo new >/etc/new && grep -qx ID=alpine /etc/os-release' || fail "$2"; }
runs one 'no container runs'
jq -n --arg w "$work" '{metadata: {name: "p", namespace: "default", uid: "p", attempt: 1}, log_directory: $w, linux: {security_context: {namespace_options: {network: 2}}}}' >"$work/pod.json"
jq -n '{metadata: {name: "c"}, image: {image: "localhost/mended:1"}, command: ["/bin/sh", "-c", "cat /etc/alpine-release; exec sleep 1000"], log_path: "c.log", linux: {}}' >"$work/container.json"
sandbox=$(crictl runp "$work/pod.json")
container=$(crictl create "$sandbox" "$work/container.json" "$work/pod.json")
crictl start "$container" >/dev/null
for _ in $(seq 300); do ! crictl logs "$container" 2>/dev/null | grep -q '^3\.20\.' || break; sleep 0.2; done
crictl logs "$container" | grep -q '^3\.20\.' || fail 'a pod does not say what it should'
"$layerctl" verify --quiet || fail 'what containers have written is in the layers'

say '-- after a restart of the engine; rot, and its repair'
stop
start "$bin/containerd"
runs two 'no container runs after a restart'
top=$(snapshots | xargs stat -c '%s %n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
printf 'rot' | dd of="$top" bs=1 seek=2000000 conv=notrunc status=none
! "$layerctl" verify --quiet 2>/dev/null || fail 'rot is not seen'
"$layerctl" verify --repair --quiet --platform linux/amd64 || fail 'rot is not repaired'
"$layerctl" verify --quiet || fail 'what was repaired does not verify'
[ "$(stat -c %h "$top")" -ge 2 ] || fail 'the engine has not got the file that was repaired'
runs three 'no container runs after a repair'
say '-- layers that are lost'
mapfile -t files < <(snapshots)
for file in "${files[@]}"; do rm "$file"; done
code=0
"$layerctl" verify --quiet >"$work/out" 2>"$work/said" || code=$?
{ [ "$code" = 6 ] && grep -q missing "$work/out"; } || { cat "$work/out" "$work/said"; fail "a layer that is lost is not named: exit code $code"; }
"$layerctl" verify --repair --quiet --platform linux/amd64 >/dev/null 2>"$work/said" || { cat "$work/said"; fail 'a layer that is lost is not brought back'; }
"$layerctl" verify --quiet || fail 'what was brought back does not verify'
for file in "${files[@]}"; do [ "$(stat -c %h "$file")" -ge 2 ] || fail "$file is not brought back"; done
runs three-again 'no container runs after layers were brought back'

say '-- taken, and pruned'
crictl rmp -f "$sandbox" >/dev/null
"$layerctl" rm --platform linux/amd64 "oci:$work/mended"
"$layerctl" take --platform linux/amd64 "oci:$work/foreign"
"$layerctl" prune --quiet
[ "$(ctr images ls -q | grep -c localhost/mended || true)" = 0 ] || fail 'what was removed is still listed'
runs four 'no container runs after a prune'

say '-- an engine that makes its files immutable, and one that wants dm-verity'
stop
cat >>"$work/config.toml" <<'TOML'
[plugins.'io.containerd.snapshotter.v1.erofs']
  set_immutable = true
TOML
start "$bin/containerd"
"$layerctl" give --platform linux/amd64 --into "$into" --engine-name localhost/foreign:1 "oci:$work/foreign" 2>"$work/said"
grep -q 'immutable' "$work/said" || { cat "$work/said"; fail 'that files are not linked is not said'; }
[ -z "$(lsattr -R "$work/store/layers" 2>/dev/null | awk '$1 ~ /i/ && $1 !~ "/"')" ] || fail 'files of the store are immutable'
"$layerctl" rm --platform linux/amd64 "oci:$work/foreign"
"$layerctl" prune --quiet
stop
sed -i 's/set_immutable = true/dmverity_mode = "on"/' "$work/config.toml"
start "$bin/containerd"
! "$layerctl" give --platform linux/amd64 --into "$into" --engine-name localhost/x:1 "oci:$images/alpine-3.20" 2>"$work/said" || fail 'an engine that wants dm-verity was given an image'
grep -q 'cannot be served' "$work/said" || { cat "$work/said"; fail 'that dm-verity is wanted is not said'; }
say 'all of it'
