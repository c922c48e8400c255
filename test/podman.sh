#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Images that podman runs from an additional image store: podman.sh LAYERCTL.
# No registry is asked. Needs root, to make and become an ordinary user, Go,
# Debian's podman, runc, crun, uidmap, jq and attr, and in
# $LAYERCTL_TEST_IMAGES an OCI layout alpine-3.20.
set -euo pipefail
cd "$(dirname "$0")/.."
images=$(realpath "${LAYERCTL_TEST_IMAGES:?names the directory that holds alpine-3.20}")

work=$(mktemp -d)
cleanup() {
  # podman leaves a process that holds the user's namespace.
  ! [ -s "$work/user/run/libpod/tmp/pause.pid" ] || kill "$(cat "$work/user/run/libpod/tmp/pause.pid")" || true
  while read -r mounted; do umount -l "$mounted" || true; done < <(awk -v w="$work/" 'index($5, w) == 1 {print $5}' /proc/self/mountinfo | sort -r)
  ! id lc-podman >/dev/null 2>&1 || userdel -f lc-podman || true # its last process may be about to end
  rm -rf --one-file-system "$work" || true
}
trap cleanup EXIT
# shellcheck source=test/compare.sh
. test/compare.sh
say() { echo "podman: $*"; }

# Every file has a name in the store of layerctl as well, so that the number of
# links tells nothing.
eval "$(declare -f listing | sed 's/%n %s/%s/')"

GOBIN=$work/bin go install -tags exclude_graphdriver_btrfs,containers_image_openpgp go.podman.io/storage/cmd/containers-storage@v1.65.1 2>"$work/install" || { cat "$work/install"; exit 1; }

first=2000000000
useradd --system --no-create-home --home-dir "$work/user" lc-podman
usermod --add-subuids $first-$((first + 131071)) --add-subgids $first-$((first + 131071)) lc-podman
chmod 755 "$work"
install -m 755 "$1" "$work/layerctl"
install -d -o lc-podman -g lc-podman -m 700 "$work/user" "$work/user/run" "$work/user/tmp"
mkdir -m 700 "$work/root" "$work/root/run" "$work/root/tmp"
cp -r "$images/alpine-3.20" "$work/alpine"
cp -r testdata/images/hello "$work/hello"
chmod -R a+rX "$work/alpine" "$work/hello"
for image in alpine hello; do
  index=$(jq -r '.manifests[0].digest' "$work/$image/index.json")
  jq -r '[.manifests[] | select(.platform.architecture == "amd64")][0].digest' "$work/$image/blobs/${index/:/\/}" >"$work/$image.manifest"
  flatten "$work/$image" "$(cat "$work/$image.manifest")" "$work/$image.flat"
done
config=$(jq -r .config.digest "$work/alpine/blobs/$(sed 's,:,/,' "$work/alpine.manifest")")
alpine=docker.io/library/alpine:3.20 hello=docker.io/library/hello:1

# as COMMAND…: for $who, in an environment of its own.
as() {
  local home=$work/$who become=()
  [ "$who" = root ] || become=(setpriv --reuid=lc-podman --regid=lc-podman --clear-groups --inh-caps=-all)
  "${become[@]}" env -i HOME="$home" XDG_RUNTIME_DIR="$home/run" TMPDIR="$home/tmp" PATH="$work:$work/bin:$PATH" \
    work="$home/tmp" CONTAINERS_STORAGE_CONF="$home/storage.conf" LAYERCTL_STORE="$home/store" "$@"
}
# A machine may allow less than podman asks for by itself.
podman() { as podman --runtime "${runtime:-runc}" --cgroup-manager cgroupfs "$@"; }
run() { podman run --network none --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 "$@"; }

# ends_with COMMAND…: its exit code, a container's too.
ends_with() {
  local code=0
  "$@" >&2 || code=$?
  echo "$code"
}

# inside COMMAND…: where $who may read the mounts of podman.
inside() { if [ "$who" = root ]; then as "$@"; else as podman unshare "$@"; fi; }

# Mounts a container of the image $1, and lists it.
cat >"$work/list" <<'LIST'
set -e
. "$(dirname "$0")/compare.sh"
id=$(podman create "$1")
listing "$(podman mount "$id")"
podman rm "$id" >/dev/null
LIST
{ cat test/compare.sh; declare -f listing; } >"$work/compare.sh"
chmod 755 "$work/list" "$work/compare.sh"

for who in root user; do
  say "-- as $who"
  store=$work/$who/store/engines/containers-storage
  cat >"$work/$who/storage.conf" <<CONF
[storage]
driver = "overlay"
graphroot = "$work/$who/graph"
runroot = "$work/$who/run/containers"
CONF
  as layerctl pull --into containers-storage --engine-name "$alpine" "oci:$work/alpine" >/dev/null 2>"$work/said"
  grep -qxF "additionalimagestores = [\"$store\"]" "$work/said" || { cat "$work/said"; fail 'it does not say what storage.conf lacks'; }
  sed -n '/^\[storage.options\]$/,$p' "$work/said" | grep -E '^(\[|additional)' >>"$work/$who/storage.conf"
  echo 'root-auto-userns-user = "lc-podman"' >>"$work/$who/storage.conf"
  chmod 644 "$work/$who/storage.conf"
  as layerctl pull --into containers-storage --engine-name "$hello" --platform linux/amd64 "oci:$work/hello" >/dev/null 2>"$work/said"
  ! grep -q additionalimagestores "$work/said" || fail 'it says that storage.conf lacks what is there'

  [ "$(podman images --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ReadOnly}}' | sort)" = "$alpine true
$hello true" ] || { podman images; fail 'podman lists other images'; }
  [ "sha256:$(podman image inspect --format '{{.Id}}' "$alpine")" = "$config" ] || fail 'the image has another id'
  podman image inspect --format '{{json .RepoDigests}}' "$alpine" | grep "$(cat "$work/alpine.manifest")" >/dev/null || fail 'the image has not its digest'
  for image in alpine hello; do
    listing "$work/$image.flat" >"$work/want"
    inside bash "$work/list" "${!image}" >"$work/got"
    diff -u "$work/want" "$work/got" >"$work/diff" || { head -n 40 "$work/diff"; fail "podman shows another $image than tar makes"; }
    say "$image: $(find "$work/$image.flat" | wc -l) paths equal tar's"
  done
  links=$(find "$work/$who/store/layers" -type f -path '*/fs/*' -links 1 | wc -l)
  [ "$links" = 0 ] || fail "$links files of the store are not linked"

  for runtime in runc crun; do
    if ! run --rm "$alpine" cat /etc/alpine-release >"$work/out" 2>"$work/err"; then
      # crun 1.8 cannot be where version 1 and 2 of cgroups are mixed.
      if [ "$runtime" != crun ] || ! grep -q 'cgroups in hybrid mode' "$work/err"; then cat "$work/err"; fail "$runtime does not run it"; fi
      say "$(cat "$work/err")"
    else
      grep -q '^3\.20\.' "$work/out" || fail "$runtime does not print the release"
    fi
  done
  runtime=runc
  run --rm --userns=auto "$alpine" sh -c 'cat /proc/self/uid_map; stat -c "%u:%g" /bin/busybox /etc/shadow' >"$work/out"
  [ "$(tail -n 2 "$work/out")" = $'0:0\n0:42' ] || { cat "$work/out"; fail 'owners are others with --userns=auto'; }
  say "--userns=auto: $(head -n 1 "$work/out" | tr -s ' ')"

  # What stands on an image keeps it.
  # shellcheck disable=SC2016 # for the shell in the container
  [ "$(ends_with run --name kept "$alpine" sh -c 'echo once >>/kept && exit $((10 + $(wc -l </kept)))')" = 11 ] || fail 'a container does not write'
  as layerctl rm "oci:$work/alpine" "oci:$work/hello" 2>"$work/said"
  as layerctl prune >"$work/pruned" 2>>"$work/said"
  [ "$(podman images --no-trunc -q)" = "$config" ] || { podman images; fail 'podman has other images than the one that a container is of'; }
  [ "$(ends_with podman start -a kept)" = 12 ] || fail 'the stopped container does not start any more'
  podman rm kept >/dev/null
  as layerctl prune >"$work/pruned" 2>>"$work/said"
  [ -z "$(podman images -q)" ] || { podman images; fail 'podman has an image that was taken'; }
  [ "$(cat "$store/overlay-layers/layers.json" "$store/overlay-images/images.json")" = '[][]' ] || fail 'something was left'
  say 'a stopped container kept its image, and nothing after it'
done

say '-- the newest containers/storage'
who=root
as layerctl pull --into containers-storage --engine-name "$hello" --platform linux/amd64 "oci:$work/hello" >/dev/null 2>"$work/said"
newest() { as containers-storage "$1" -g "$work/root/newest" -R "$work/root/run/newest" "${@:2}"; }
newest images >"$work/out" 2>&1
grep -qF "name: $hello" "$work/out" || { cat "$work/out"; fail 'it does not list the image'; }
newest layers >"$work/out" 2>&1
[ "$(grep -cE '^[0-9a-f]{64}' "$work/out")" = "$(jq length "$work/root/store/engines/containers-storage/overlay-layers/layers.json")" ] || { cat "$work/out"; fail 'it lists other layers'; }
container=$(newest create-container "$hello" 2>/dev/null | sed -n 1p)
listing "$work/hello.flat" >"$work/want"
listing "$(newest mount "$container" 2>/dev/null | tail -n 1)" >"$work/got"
diff -u "$work/want" "$work/got" >"$work/diff" || { head -n 40 "$work/diff"; fail 'it mounts another image'; }
newest unmount "$container" >/dev/null 2>&1
# It would rebuild the tar of each layer, which takes what only an unpacking of
# its own leaves behind.
newest check >"$work/out" 2>&1 || true
! grep -E '^[a-z ]' "$work/out" | grep -vE ': layer content incorrect (digest|size)$|^(read-only layer|read-only image|container) [0-9a-f]+:$' || fail 'it finds something wrong'
say "$(grep -cE '^read-only layer [0-9a-f]+:$' "$work/out") layers are as it would have them, but for their tar"
