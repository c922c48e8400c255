#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What belongs to an image, found in a real registry without the referrers API:
# referrers.sh LAYERCTL. Debian's docker-registry, filled by skopeo. Needs
# docker-registry, skopeo and jq.
set -euo pipefail
layerctl=$(realpath "$1")
cd "$(dirname "$0")/.."

work=$(mktemp -d)
registry=
# shellcheck source=test/registry.sh
. test/registry.sh
cleanup() {
  if [ -n "$registry" ]; then kill "$registry" 2>/dev/null || true; wait; fi
  rm -rf "$work" || true
}
trap cleanup EXIT
fail() { echo "referrers: $*" >&2; exit 1; }

layout=$work/layout
cp -r testdata/images/hello "$layout"
export LAYERCTL_STORE=$work/store

# put FILE TYPE: the descriptor of a blob that is copied into the layout.
put() {
  local hex
  hex=$(sha256sum "$1" | cut -d' ' -f1)
  cp "$1" "$layout/blobs/sha256/$hex"
  jq -cn --arg t "$2" --arg d "sha256:$hex" --argjson s "$(stat -c %s "$1")" '{mediaType: $t, digest: $d, size: $s}'
}
# name TAG DESCRIPTOR: has the layout's index.json name it.
name() {
  jq -c --arg n "$1" --argjson m "$2" '.manifests += [$m + {annotations: {"org.opencontainers.image.ref.name": $n}}]' "$layout/index.json" >"$work/index"
  mv "$work/index" "$layout/index.json"
}
# attach BLOB TYPE SUBJECT: the descriptor of a manifest over a blob.
attach() {
  jq -cn --argjson c "$(put "$work/empty" application/vnd.oci.image.config.v1+json)" --argjson l "$(put "$1" "$2")" --argjson s "$3" \
    '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $c, layers: [$l]} + if $s then {subject: $s} else {} end' >"$work/manifest"
  put "$work/manifest" application/vnd.oci.image.manifest.v1+json
}

image=$("$layerctl" resolve --platform linux/arm/v6 "oci:$layout" | sed 's/.*@//')
hex=${image#sha256:}
echo '{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]}}' >"$work/empty"
echo '{"spdxVersion":"SPDX-2.3"}' >"$work/sbom"
echo '{}' >"$work/payload"
subject=$(jq -cn --arg d "$image" --argjson s "$(stat -c %s "$layout/blobs/sha256/$hex")" '{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $d, size: $s}')
sbom=$(attach "$work/sbom" application/spdx+json "$subject")
jq -cn --argjson m "$sbom" '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [$m]}' >"$work/list"
name "sha256-$hex" "$(put "$work/list" application/vnd.oci.image.index.v1+json)"
name "sha256-$hex.sig" "$(attach "$work/payload" application/vnd.dev.cosign.simplesigning.v1+json null)"

start_registry
host=127.0.0.1:$port
for tag in latest "sha256-$hex" "sha256-$hex.sig"; do
  skopeo copy -q --all --dest-tls-verify=false "oci:$layout:$tag" "docker://$host/hello:$tag"
done

# found: KIND by PLACE of each.
found() {
  "$layerctl" inspect --quiet --referrers --platform linux/arm/v6 --json "$@" |
    jq -r '.manifests[] | select(.chosen) | .referrers[] | "\(.kind) by \(.place)"' | sort | paste -sd,
}
want='sbom by fallback tag,signature by tag'
got=$(found --plain-http "$host" "$host/hello")
[ "$got" = "$want" ] || fail "the registry has $got, want $want"
got=$(found --offline "$host/hello")
[ "$got" = "$want" ] || fail "the cache has $got, want $want"
"$layerctl" inspect --sbom --platform linux/arm/v6 --plain-http "$host" "$host/hello" | cmp - "$work/sbom" || fail "the SBOM is another"
echo "referrers: all found"
