#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the README's two commands as a user who has a clone, Go, and nothing
# else. Needs root, to become that user.
set -euo pipefail
cd "$(dirname "$0")/.."

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
chmod 755 "$home"
git clone -q . "$home/layerctl"
# The modules as they were downloaded, so that nothing is fetched twice.
cp -r "$(go env GOMODCACHE)/cache/download" "$home/modules"
chown -R 65534:65534 "$home"
# What this machine has compiled, by links where they go: with -trimpath in
# GOFLAGS nothing is compiled twice. Results of tests are not taken from there.
cp -al "$(go env GOCACHE)" "$home/cache" 2>/dev/null || { rm -rf "$home/cache"; cp -r "$(go env GOCACHE)" "$home/cache"; }
rm -rf "$home/cache/fuzz"
find "$home/cache" -type d -exec chown 65534:65534 {} +

cat >"$home/commands.sh" <<'COMMANDS'
set -eu
cd "$HOME/layerctl"
line=$(go run ./cmd/layerctl pull oci:testdata/images/hello)
echo "$line"
case $line in *'mount -t overlay'*) ;; *) echo 'no mount line'; exit 1 ;; esac
go test ./...
COMMANDS
setpriv --reuid=65534 --regid=65534 --clear-groups env -i \
  HOME="$home" PATH="$PATH" CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -count=1" GOCACHE="$home/cache" \
  GOPROXY="file://$home/modules" GONOSUMDB='*' GOTOOLCHAIN=local \
  sh "$home/commands.sh"
