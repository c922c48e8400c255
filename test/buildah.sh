#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compares what layerctl mounts, and exports as a tar, with what buildah mounts,
# for an image that buildah has built in many layers: buildah.sh LAYERCTL. Needs root, Debian's
# buildah, attr and libcap2-bin, and in $LAYERCTL_TEST_IMAGES an OCI layout
# alpine-3.20.
set -euo pipefail
layerctl=$(realpath "$1")
cd "$(dirname "$0")/.."
images=$(realpath "${LAYERCTL_TEST_IMAGES:?names the directory that holds alpine-3.20}")

work=$(mktemp -d)
cleanup() {
  while read -r mounted; do umount -l "$mounted" || true; done < <(awk -v w="$work/" 'index($5, w) == 1 {print $5}' /proc/self/mountinfo | sort -r)
  rm -rf "$work" || true
}
trap cleanup EXIT
# shellcheck source=test/compare.sh
. test/compare.sh

# With vfs there is no overlayfs in buildah's answer, and with chroot no
# runtime. Every directory is the test's own.
export BUILDAH_ISOLATION=chroot
buildah() { command buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run" "$@"; }

echo 'from the context' >"$work/copied"

say() { echo "buildah: $*"; }
buildah pull -q "oci:$images/alpine-3.20" >"$work/id"
buildah tag "$(cat "$work/id")" localhost/base
buildah build -q --layers --pull-never --from localhost/base -t localhost/built -f test/layers.Dockerfile "$work" >/dev/null

# What a step in chroot isolation may not do is done from outside.
container=$(buildah from --pull-never localhost/built)
root=$(buildah mount "$container")
setcap cap_net_raw+ep "$root/bin/busybox"
echo cap >"$root/data/capable"
setcap cap_net_bind_service,cap_chown=eip "$root/data/capable"
setfattr -n user.note -v 'a note' "$root/data/renamed"
setfattr -n user.note -v 'of a directory' "$root/data/keep"
setfattr -n user.binary -v 0x00ff0a "$root/etc/motd.old"
rm -r "$root/usr/lib"
ln "$root/data/keep/linked" "$root/srv/linked"
buildah commit -q "$container" localhost/marked >/dev/null

# And once more on top: marks must come through layers that imply directories.
container=$(buildah from --pull-never localhost/marked)
root=$(buildah mount "$container")
echo deep >"$root/data/keep/deep"
rm "$root/data/capable"
setfattr -x user.note "$root/data/renamed"
buildah commit -q "$container" localhost/top >/dev/null

for image in built marked top; do
  buildah push -q "localhost/$image" "oci:$work/$image:it" >/dev/null
  mkdir "$work/$image.mounted"
  sh -c "$("$layerctl" pull -q --print-line --store "$work/store" --target "$work/$image.mounted" "oci:$work/$image:it")"
  root=$(buildah mount "$(buildah from --pull-never "localhost/$image")")
  same "$root" "$work/$image.mounted"
  mkdir "$work/$image.tree"
  "$layerctl" export -q --store "$work/store" "oci:$work/$image:it" |
    tar -x -p --same-owner --numeric-owner --xattrs --xattrs-include='*' -C "$work/$image.tree"
  same "$work/$image.mounted" "$work/$image.tree"
  layers=$(find "$work/store/layers" -mindepth 1 -maxdepth 1 | wc -l)
  say "$image: $(find "$root" | wc -l) paths equal, capabilities on $(getcap -r "$work/$image.mounted" | wc -l), $layers layers in the store"
  umount "$work/$image.mounted"
done
