#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What an ordinary user gets, with subordinate ids and without: rootless.sh
# LAYERCTL. Needs root, to make and become two such users, Go, Debian's uidmap,
# fuse-overlayfs, jq and attr, erofsfuse where there is one, and in
# $LAYERCTL_TEST_IMAGES an OCI layout alpine-3.20.
set -euo pipefail
cd "$(dirname "$0")/.."
images=${LAYERCTL_TEST_IMAGES:?names the directory that holds alpine-3.20}

work=$(mktemp -d)
holder=
cleanup() {
  if [ -n "$holder" ]; then
    echo | timeout 1 tee "$work/enough" >/dev/null || true
    wait "$holder" || true
  fi
  for user in lc-mapped lc-squashed; do
    ! id "$user" >/dev/null 2>&1 || userdel -f "$user" || true # its last process may be about to end
  done
  rm -rf --one-file-system "$work" || true
}
trap cleanup EXIT
# shellcheck source=test/compare.sh
. test/compare.sh

# A system user gets no range of subordinate ids by itself.
first=2000000000
for user in lc-mapped lc-squashed; do
  useradd --system --no-create-home --home-dir "$work/$user" "$user"
  install -d -o "$user" -g "$user" "$work/$user" "$work/$user/tmp"
done
usermod --add-subuids $first-$((first + 65535)) --add-subgids $first-$((first + 65535)) lc-mapped
chmod 755 "$work"
install -m 755 "$1" "$work/layerctl"
cp test/compare.sh "$work"
cp -r "$images/alpine-3.20" "$work/alpine"
cp -r testdata/images/hello "$work/hello"
chmod -R a+rX "$work/alpine" "$work/hello"

# as USER COMMAND…: without a trace of root.
as() {
  local user=$1
  shift
  setpriv --reuid="$user" --regid="$user" --clear-groups --inh-caps=-all env -i \
    HOME="$work/$user" TMPDIR="$work/$user/tmp" PATH="$work:$PATH" work="$work/$user/tmp" "$@"
}

# expected LAYOUT DIR: what tar makes of the image for amd64.
expected() {
  local index
  index=$(jq -r '.manifests[0].digest' "$1/index.json")
  flatten "$1" "$(jq -r '[.manifests[] | select(.platform.architecture == "amd64")][0].digest' "$1/blobs/${index/:/\/}")" "$2"
}

# Inside: mounts by the line in $1, and lists.
cat >"$work/list" <<'LIST'
. "$(dirname "$0")/compare.sh"
eval "$1" && listing "$2"
LIST
chmod 755 "$work/list"

for image in alpine hello; do
  expected "$work/$image" "$work/$image.flat"
  listing "$work/$image.flat" >"$work/$image.mapped"
  sed -E 's/ [0-9]+:[0-9]+ / 0:0 /' "$work/$image.mapped" >"$work/$image.squashed"
  for ids in mapped squashed; do
    user=lc-$ids target=$work/lc-$ids/$image
    as "$user" mkdir "$target"
    line=$(as "$user" layerctl pull --platform linux/amd64 --target "$target" "oci:$work/$image" 2>"$work/said")
    grep -q 'hint: .*layerctl unshare' "$work/said" || fail "$user is not told of unshare: $(cat "$work/said")"
    as "$user" layerctl unshare bash "$work/list" "$line" "$target" >"$work/got"
    diff -u "$work/$image.$ids" "$work/got" >"$work/diff" || { head -n 40 "$work/diff"; fail "$user sees another $image than tar makes"; }
    [ -z "$(ls -A "$target")" ] || fail "the mount of $user shows outside"
    echo "rootless: $ids: $image: $(find "$work/$image.flat" | wc -l) paths equal tar's"
  done
done
grep -q '"ids":"mapped"' "$work/lc-mapped/.local/share/layerctl/store.json"
grep -q '"ids":"squashed"' "$work/lc-squashed/.local/share/layerctl/store.json"

# On the disk: subordinate ids, and the caller's.
shadow=$(echo "$work"/lc-mapped/.local/share/layerctl/layers/*/fs/etc/shadow)
[ "$(stat -c %u:%g "$shadow")" = "$(id -u lc-mapped):$((first + 42 - 1))" ] || fail "shadow belongs to $(stat -c %u:%g "$shadow")"
foreign=$(find "$work/lc-squashed" ! -user lc-squashed)
[ -z "$foreign" ] || fail "not the caller's: $foreign"

# Inside: what is mounted writable is read, written, deleted and unmounted, with
# an upper dir in the store and with one of the user's own. $1 is the image,
# $2 the mount point, $3 a directory for upper and work.
cat >"$work/write" <<'WRITE'
set -eu
check() {
  test "$(cat "$2/etc/hello")" = 'hello from linux/amd64'
  test "$(cat "$2/etc/replaced")" = 'from the second layer'
  test ! -e "$2/etc/deleted"
  test ! -e "$2/var/cache/stale"
  test -e "$2/var/cache/fresh"
}
change() {
  echo mine >"$2/etc/new"
  # A file of one name: of several, fuse-overlayfs 1.10 may write to another.
  echo more >>"$2/srv/implied/parents.txt"
  rm "$2/etc/replaced"
  rm -r "$2/var/cache"
  mkdir "$2/var/cache"
  chmod 700 "$2/etc"
}
changed() {
  test "$(cat "$2/etc/new")" = mine
  test "$(tail -n 1 "$2/srv/implied/parents.txt")" = more
  test ! -e "$2/etc/replaced"
  test -z "$(ls -A "$2/var/cache")"
  test "$(stat -c %a "$2/etc")" = 700
  # What is gone is no name that cannot be looked up either.
  find "$2" >/dev/null
}
layerctl mount --rw "$1" "$2"
check "$@"
change "$@"
changed "$@"
layerctl mounts | grep ' rw  *mounted' >/dev/null
layerctl umount "$2"
test -z "$(ls -A "$2")"
test -z "$(ls "$LAYERCTL_STORE/writable")"
layerctl mount "$1" "$2"
check "$@"
! touch "$2/etc/new" 2>/dev/null
layerctl umount "$2"

mkdir "$3/upper" "$3/work"
layerctl mount --upper "$3/upper" --work "$3/work" "$1" "$2"
check "$@"
change "$@"
layerctl umount "$2"
eval "$(layerctl mount --print --upper "$3/upper" --work "$3/work" "$1" "$2")"
changed "$@"
umount "$2"
WRITE
for user in lc-mapped lc-squashed; do
  as "$user" mkdir "$work/$user/written"
  as "$user" layerctl unshare bash "$work/write" "oci:$work/hello" "$work/$user/hello" "$work/$user/written"
  as "$user" layerctl unshare rm -rf "$work/$user/written"
done
echo 'rootless: writable mounts are read, written and unmounted, and whiteouts hold'

# The same by fuse-overlayfs, which older kernels need. On many systems everybody
# may open /dev/fuse; where not, here is another node of it.
if [ -e /dev/fuse ]; then
  mknod -m 666 "$work/fuse" c 10 229
  # with_fuse USER COMMAND…: as, with that node.
  with_fuse() {
    # shellcheck disable=SC2016
    unshare --mount bash -euc 'mount --bind "$work/fuse" /dev/fuse; "$@"' bash as "$@"
  }
  # gone TARGET: waits until no process has mounted there.
  gone() {
    local left
    for _ in $(seq 600); do
      left=$(grep -lsz "^$1\$" /proc/[0-9]*/cmdline || true)
      [ -n "$left" ] || return 0
      sleep 0.1
    done
    fail "a process that mounted lives on: $left"
  }
  export -f as
  export work
  for user in lc-mapped lc-squashed; do
    target=$work/$user/hello
    as "$user" mkdir "$work/$user/written"
    with_fuse "$user" env LAYERCTL_DRIVER=fuse-overlayfs layerctl unshare bash "$work/write" "oci:$work/hello" "$target" "$work/$user/written"
    as "$user" layerctl unshare rm -rf "$work/$user/written"
    # What is left mounted ends with the command, though its process would not.
    with_fuse "$user" env LAYERCTL_DRIVER=fuse-overlayfs layerctl unshare sh -ec "layerctl mount oci:$work/hello $target; grep -q ' $target .* fuse.fuse-overlayfs ' /proc/self/mountinfo; test ! -e $target/etc/deleted"
    gone "$target"
    # Where the kernel can, nobody else is asked.
    as "$user" layerctl unshare sh -ec "layerctl mount oci:$work/hello $target; grep -q ' $target .* - overlay ' /proc/self/mountinfo"
  done
  echo 'rootless: the same by fuse-overlayfs, whose processes end with their command'
else
  echo 'rootless: fuse-overlayfs left out: this kernel has no /dev/fuse'
fi

# Layers as tars, which erofsfuse mounts. Owners are the image's, and where they
# have no id in the user namespace nobody's.
if [ -e /dev/fuse ] && command -v erofsfuse >/dev/null; then
  for ids in mapped squashed; do
    user=lc-$ids store=$work/lc-$ids/tars
    for image in alpine hello; do
      target=$work/$user/$image
      line=$(as "$user" layerctl --store "$store" pull --lower tar --platform linux/amd64 --target "$target" "oci:$work/$image" 2>"$work/said")
      grep -q 'hint: .*layerctl unshare' "$work/said" || fail "$user is not told of unshare: $(cat "$work/said")"
      with_fuse "$user" layerctl --store "$store" unshare bash "$work/list" "$line" "$target" >"$work/got"
      cp "$work/$image.mapped" "$work/want"
      [ $ids = mapped ] || sed -E 's/^(.* .* .* )[1-9][0-9]*:/\165534:/; s/^(.* .* .* [0-9]*:)[1-9][0-9]* /\165534 /' "$work/$image.mapped" >"$work/want"
      diff -u "$work/want" "$work/got" >"$work/diff" || { head -n 40 "$work/diff"; fail "$user sees another $image by erofsfuse than tar makes"; }
      gone "$target"
    done
    grep -q '"ids":"squashed","lower":"tar"' "$store/store.json"
    foreign=$(find "$store" ! -user "$user")
    [ -z "$foreign" ] || fail "not the caller's: $foreign"
    as "$user" mkdir "$work/$user/written"
    with_fuse "$user" layerctl --store "$store" unshare bash "$work/write" "oci:$work/hello" "$work/$user/hello" "$work/$user/written"
    as "$user" layerctl unshare rm -rf "$work/$user/written"
    with_fuse "$user" layerctl --store "$store" unshare sh -ec "layerctl mount oci:$work/hello $target; grep -q ' $target .* fuse.erofsfuse ' /proc/self/mountinfo; layerctl mounts | grep -q ' ro  *mounted'; ! layerctl rm oci:$work/hello 2>/dev/null"
    gone "$target"
    as "$user" layerctl --store "$store" verify -q
    as "$user" layerctl --store "$store" ls -lR "oci:$work/alpine" | grep -E 'root +shadow|0 +42|0:42' >/dev/null || fail "$user is not told whose shadow is"
    as "$user" layerctl --store "$store" rm "oci:$work/alpine" "oci:$work/hello"
    as "$user" layerctl --store "$store" prune -q >"$work/said"
    left=$(find "$store/layers" "$store/fix" -mindepth 1)
    [ -z "$left" ] || fail "$user has left $left"
  done
  echo 'rootless: layers as tars by erofsfuse: read, written and unmounted, and every path equals tar'"'"'s'
else
  echo 'rootless: erofsfuse left out: it is not there, or this kernel has no /dev/fuse'
fi

# The commands work on both stores, and no user namespace hides a mount.
for user in lc-mapped lc-squashed; do
  target=$work/$user/alpine
  said=$(as "$user" layerctl unshare sh -c "layerctl mount oci:$work/alpine $target && chroot $target /bin/busybox id -u && layerctl umount $target")
  [ "$said" = 0 ] || fail "busybox says $said"
  as "$user" layerctl verify -q
  as "$user" layerctl images -q | grep alpine >"$work/said"
  mkfifo -m 644 "$work/mounted" "$work/enough"
  as "$user" layerctl unshare sh -c "layerctl mount oci:$work/alpine $target; echo done; timeout 300 cat $work/enough >/dev/null" >"$work/mounted" &
  holder=$!
  read -r _ <"$work/mounted"
  code=0
  as "$user" layerctl rm "oci:$work/alpine" 2>"$work/said" || code=$?
  [ $code = 9 ] || fail "rm of an image that $user has mounted: exit $code: $(cat "$work/said")"
  echo >"$work/enough"
  wait "$holder"
  holder=
  rm "$work/mounted" "$work/enough"
  as "$user" layerctl rm "oci:$work/alpine" "oci:$work/hello"
  as "$user" layerctl prune -q >"$work/said"
  left=$(ls "$work/$user/.local/share/layerctl/layers")
  [ -z "$left" ] || fail "$user has left layers: $left"
done
echo 'rootless: mount, rm, verify and prune work in both forms'

# Files and directories whose mode forbids them to their owner, as Fedora's shadow:
# what the store of a user holds that user can read.
(
  umask 022
  mkdir -p "$work/closed.tree/etc" "$work/closed.tree/shut/in" "$work/closed.tree/blind"
  cd "$work/closed.tree"
  for mode in 0000 0200 0111 0400; do echo "of $mode" >"etc/$mode"; done
  echo deep >shut/in/file
  echo blind >blind/file
  chmod 000 shut/in
  for mode in 0000 0200 0111 0400; do chmod "$mode" "etc/$mode"; done
  chmod 000 shut
  chmod 300 blind
)
tar -C "$work/closed.tree" --numeric-owner --owner=7 --group=8 --sort=name -cf "$work/closed.tar" .
# blob MEDIATYPE FILE: stores it in the layout and describes it.
blob() {
  local digest
  digest=$(sha256sum "$2" | cut -d' ' -f1)
  cp "$2" "$work/closed/blobs/sha256/$digest"
  printf '{"mediaType":"%s","digest":"sha256:%s","size":%d}' "$1" "$digest" "$(stat -c %s "$2")"
}
oci=application/vnd.oci.image
mkdir -p "$work/closed/blobs/sha256"
echo '{"imageLayoutVersion":"1.0.0"}' >"$work/closed/oci-layout"
layer=$(blob $oci.layer.v1.tar "$work/closed.tar")
jq -nc --argjson layer "$layer" '{os: "linux", architecture: "amd64", rootfs: {type: "layers", diff_ids: [$layer.digest]}}' >"$work/document"
config=$(blob $oci.config.v1+json "$work/document")
jq -nc --argjson config "$config" --argjson layer "$layer" '{schemaVersion: 2, config: $config, layers: [$layer]}' >"$work/document"
manifest=$(blob $oci.manifest.v1+json "$work/document")
jq -nc --argjson manifest "$manifest" '{schemaVersion: 2, manifests: [$manifest]}' >"$work/closed/index.json"
chmod -R a+rX "$work/closed"
files() (cd "$1" && find . -type f -exec sha256sum {} + | sort -k2)
files "$work/closed.tree" >"$work/closed.sums"
modes() (cd "$1" && find . -mindepth 1 -printf '%p %m\n' | sort)
modes "$work/closed.tree" >"$work/closed.modes"
for user in lc-mapped lc-squashed; do
  ref=oci:$work/closed
  as "$user" layerctl pull -q --platform linux/amd64 "$ref" >/dev/null
  as "$user" layerctl verify -q
  [ "$(as "$user" layerctl ls -R "$ref" | wc -l)" = "$(wc -l <"$work/closed.modes")" ] || fail "$user does not see all of what is closed"
  for path in etc/0000 etc/0200 etc/0111 shut/in/file blind/file; do
    as "$user" layerctl cat --platform linux/amd64 "$ref:/$path" | cmp - "$work/closed.tree/$path"
  done
  as "$user" layerctl unpack -q --platform linux/amd64 "$ref" "$work/$user/closed"
  files "$work/$user/closed" | diff "$work/closed.sums" - || fail "$user has not unpacked what is closed"
  modes "$work/$user/closed" | diff "$work/closed.modes" - || fail "$user has unpacked other modes"
  as "$user" layerctl export -q --platform linux/amd64 -o "$work/$user/closed.tar" "$ref"
  mkdir "$work/$user.exported"
  tar -C "$work/$user.exported" -xpf "$work/$user/closed.tar"
  files "$work/$user.exported" | diff "$work/closed.sums" - || fail "$user has not exported what is closed"
  # Damage is seen there, and repaired.
  closed=$(echo "$work/$user"/.local/share/layerctl/layers/*/fs/etc/0000)
  echo damaged >"$closed"
  code=0
  as "$user" layerctl verify -q >"$work/said" 2>&1 || code=$?
  if [ $code = 0 ] || ! grep -q etc/0000 "$work/said"; then fail "$user does not see the damage: $(cat "$work/said")"; fi
  as "$user" layerctl verify -q --repair >"$work/said" 2>&1 || fail "$user cannot repair: $(cat "$work/said")"
  as "$user" layerctl verify -q
  as "$user" mkdir "$work/$user/closed.mnt"
  as "$user" layerctl unshare sh -ec "layerctl mount $ref $work/$user/closed.mnt; cat $work/$user/closed.mnt/etc/0400" | grep -x 'of 0400' >/dev/null
  as "$user" layerctl rm "$ref"
  as "$user" layerctl prune -q >"$work/said"
  left=$(ls "$work/$user/.local/share/layerctl/layers")
  [ -z "$left" ] || fail "$user has left layers: $left"
done
echo 'rootless: what an image closes to its owner is read, written, verified and repaired'

# Who asks for mapped ids and has none is told why.
code=0
as lc-squashed layerctl pull --ids mapped --store "$work/lc-squashed/other" "oci:$work/hello" 2>"$work/said" || code=$?
if [ $code != 1 ] || ! grep -q 'subuid has no range for user lc-squashed' "$work/said"; then
  fail "exit $code: $(cat "$work/said")"
fi

# The tests of the command, by a user who has subordinate ids.
mkdir -p "$work/src/cmd"
cp -r testdata "$work/src"
cp -r cmd/layerctl "$work/src/cmd"
chmod -R a+rX "$work/src"
for package in cmd/layerctl internal/userns; do
  go test -c -o "$work/package.test" "./$package"
  (cd "$work/src/cmd/layerctl" && as lc-mapped "$work/package.test" -test.run 'TestScripts|TestRun|TestSignals|TestContinue|Interrupted|Killed' >"$work/said" 2>&1) || { cat "$work/said"; fail "the tests of $package as an ordinary user"; }
done
echo 'rootless: the tests of the command pass'
