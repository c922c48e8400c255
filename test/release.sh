#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Whether a release is the same bytes wherever and whenever it is built, and
# runs on what it is for: builds HEAD twice, in two places, with the flags of
# .goreleaser.yml, for all its platforms. Needs Go, git, make, yq, and Debian's
# qemu-user-static. Where goreleaser is installed it makes the packages twice
# too, and looks into them.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "release: $*" >&2; exit 1; }

# What the binary for amd64 may have at most. docs/dependencies.md says what of
# it the dependencies take.
most=22000000

mapfile -t flags < <(yq -r '.builds[0] | .flags[], "-ldflags=" + (.ldflags | join(" "))' .goreleaser.yml)
mapfile -t targets < <(test/targets.sh)
# Go finds neither by the home directory, which differs below.
GOMODCACHE=$(go env GOMODCACHE) GOCACHE=$(go env GOCACHE)
export GOMODCACHE GOCACHE
git clone -q . "$work/one"
git clone -q . "$work/else/where"

# build DIR TARGET: the binary of the clone in DIR, as DIR.out/layerctl-ARCH:
# within the clone, it would make the version a dirty one.
build() (
  cd "$1"
  CGO_ENABLED=0 GOOS=linux GOARCH=${2%/*} GOARM=${2#*/} go build "${flags[@]}" -o "$1.out/layerctl-${2/\//v}" ./cmd/layerctl
)

# The emulator of the oldest machine that a platform promises to run on.
emulator() {
  case $1 in
    # qemu-i386 loses the threads of Go programs; the processor runs both.
    amd64 | 386) ;;
    arm64) echo qemu-aarch64-static ;;
    arm/5) echo qemu-arm-static -cpu arm926 ;;
    arm/6) echo qemu-arm-static -cpu arm1176 ;;
    arm/7) echo qemu-arm-static -cpu cortex-a7 ;;
    *) echo "qemu-$1-static" ;;
  esac
}

for target in "${targets[@]}"; do
  name=layerctl-${target/\//v}
  build "$work/one" "$target"
  # One is compiled from nothing; the others only linked again.
  cache=$GOCACHE
  [ "$target" != amd64 ] || cache=$work/cache
  (umask 077 && LANG=C TZ=Pacific/Kiritimati HOME=$work/else GOCACHE=$cache build "$work/else/where" "$target")
  cmp "$work/one.out/$name" "$work/else/where.out/$name" || fail "two builds for $target differ"
  read -ra run < <(emulator "$target") || true
  said=$("${run[@]}" "$work/one.out/$name" version)
  [[ $said != *dirty* ]] || fail "the version is '$said'"
  [[ $said == *" linux/${target%/*}" ]] || fail "the binary for $target says '$said'"
  echo "release: $target: $(stat -c %s "$work/one.out/$name") bytes, twice the same; $said"
done
size=$(stat -c %s "$work/one.out/layerctl-amd64")
((size <= most)) || fail "the binary for amd64 has $size bytes, $((size - most)) more than the $most it may have"
echo "release: the binary for amd64 has $((most - size)) bytes left of the $most it may have"

documents() { (cd "$1" && make -s documents); }
documents "$work/one"
documents "$work/else/where"
diff -r "$work/one/build" "$work/else/where/build" || fail 'two builds of the documents differ'
echo "release: $(find "$work/one/build" -type f | wc -l) documents, twice the same"

if ! command -v goreleaser >/dev/null; then
  echo 'release: the packages are not made: needs goreleaser'
  exit 0
fi
for dir in "$work/one" "$work/else/where"; do
  (cd "$dir" && goreleaser check -q && goreleaser release --snapshot --clean --skip=publish,sbom >"$work/log" 2>&1) ||
    { cat "$work/log"; fail 'goreleaser'; }
done
diff "$work/one/dist/checksums.txt" "$work/else/where/dist/checksums.txt" || fail 'two releases differ'
for file in layerctl_linux_amd64 layerctl_linux_armv5.tar.gz layerctl_linux_{amd64,arm64,armv5,armv6,armv7,386,riscv64}.{deb,rpm,apk}; do
  grep -q " $file\$" "$work/one/dist/checksums.txt" || fail "there is no $file"
done
deb=$work/one/dist/layerctl_linux_amd64.deb
dpkg -c "$deb"
dpkg-deb -x "$deb" "$work/root"
for file in bin/layerctl share/bash-completion/completions/layerctl share/zsh/vendor-completions/_layerctl \
  share/fish/vendor_completions.d/layerctl.fish share/man/man1/layerctl.1.gz share/man/man1/layerctl-pull.1.gz lib/systemd/system/layerctl-{sync,serve}.service lib/systemd/system/layerctl-sync.timer lib/tmpfiles.d/layerctl.conf share/doc/layerctl/copyright share/doc/layerctl/THIRD-PARTY-NOTICES; do
  [ -s "$work/root/usr/$file" ] || fail "the package has no /usr/$file"
done
"$work/root/usr/bin/layerctl" version
echo "release: $(wc -l <"$work/one/dist/checksums.txt") files, twice the same"
