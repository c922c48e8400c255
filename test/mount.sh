#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Mounts as other programs make them: mount.sh LAYERCTL. Runs an image from a
# bundle with runc and crun, and the tests of mount lines with the mount(8) of
# Debian 13, whose packages are unpacked aside. Needs root, Debian's runc and
# crun, and in $LAYERCTL_TEST_IMAGES an OCI layout alpine-3.20.
set -euo pipefail
layerctl=$(realpath "$1")
cd "$(dirname "$0")/.."
images=${LAYERCTL_TEST_IMAGES:?names the directory that holds alpine-3.20}

work=$(mktemp -d)
cleanup() {
  while read -r mounted; do umount -l "$mounted" || true; done < <(awk -v w="$work/" 'index($5, w) == 1 {print $5}' /proc/self/mountinfo | sort -r)
  rm -rf "$work" || true
}
trap cleanup EXIT
fail() { echo "mount: $*" >&2; exit 1; }
export LAYERCTL_STORE=$work/store

echo '-- a bundle of Alpine, started by runc and crun'
alpine=oci:$(realpath "$images")/alpine-3.20
"$layerctl" pull --quiet --platform linux/amd64 "$alpine" >/dev/null
for run in runc crun; do
  "$layerctl" bundle --platform linux/amd64 "$alpine" "$work/$run" -- \
    /bin/sh -c 'cat /etc/alpine-release && echo written >/root/f && cat /root/f && id -u'
  "$run" run --bundle "$work/$run" "layerctl-test-$$" >"$work/out" 2>"$work/err" </dev/null || {
    # crun 1.8 cannot be where version 1 and 2 of cgroups are mixed.
    if [ "$run" = crun ] && grep -q 'cgroups in hybrid mode' "$work/err"; then echo "crun: $(cat "$work/err")"; else cat "$work/err"; fail "$run does not start it"; fi
    : >"$work/out"
  }
  sed "s/^/$run: /" "$work/out"
  [ "$run" != runc ] || { grep -q '^3\.20\.' "$work/out" && grep -qx written "$work/out"; } || fail 'runc does not print the release'
  "$layerctl" umount "$work/$run/rootfs"
done

echo '-- the same in a user namespace with mapped ids'
"$layerctl" bundle --platform linux/amd64 --idmap 0:100000:65536 "$alpine" "$work/mapped" -- \
  /bin/sh -c 'id -u && stat -c %u /etc && cat /proc/self/uid_map && touch /root/f'
chmod 711 "$work"
runc run --bundle "$work/mapped" "layerctl-mapped-$$" >"$work/out" </dev/null || fail 'runc does not start it with mapped ids'
sed 's/^/runc: /' "$work/out"
grep -q '100000 *65536' "$work/out" || fail 'the ids are not mapped'
[ "$(stat -c %u "$work"/store/writable/*/upper/root/f)" = 100000 ] || fail "the container's file belongs to somebody else"
"$layerctl" umount "$work/mapped/rootfs"
[ -z "$(ls "$work/store/writable")" ] || fail 'umount leaves upper dirs'

echo '-- mount lines with the mount(8) of Debian 13'
# From the mirror that this machine's apt is set up with.
pool=$(apt-get --print-uris download mount | sed -n "s,^'\(.*\)/pool/.*,\1/pool/main,p")
if curl -fsSL --max-time 120 -o "$work/mount.deb" "$pool/u/util-linux/mount_2.41-5_amd64.deb" &&
  curl -fsSL --max-time 120 -o "$work/libmount.deb" "$pool/u/util-linux/libmount1_2.41-5_amd64.deb" &&
  curl -fsSL --max-time 120 -o "$work/libblkid.deb" "$pool/u/util-linux/libblkid1_2.41-5_amd64.deb" &&
  curl -fsSL --max-time 120 -o "$work/libsmartcols.deb" "$pool/u/util-linux/libsmartcols1_2.41-5_amd64.deb" &&
  curl -fsSL --max-time 120 -o "$work/libc.deb" "$pool/g/glibc/libc6_2.41-12_amd64.deb"; then
  for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$work/trixie"; done
  lib=$work/trixie/usr/lib/x86_64-linux-gnu
  printf '#!/bin/sh\nexec %s --library-path %s:/lib/x86_64-linux-gnu %s "$@"\n' \
    "$lib/ld-linux-x86-64.so.2" "$lib" "$work/trixie/usr/bin/mount" >"$work/mount-2.41"
  chmod +x "$work/mount-2.41"
  "$work/mount-2.41" --version
  unset LAYERCTL_STORE
  export LAYERCTL_TEST_MOUNTS=$work/mount-2.41
  go test -count=1 -run 'TestFormats|TestIDMapLine' ./overlaystore
  go test -count=1 -run 'TestFSTab|TestMountHelper' ./cmd/layerctl
else
  echo 'Debian 13 cannot be reached: left out'
fi
