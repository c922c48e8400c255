#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What do the sync and the records of each path cost? cost.sh [ROUNDS [DIR]]
# makes an image of four layers, about 1 GB in 50,000 files, of this machine's
# /usr, pulls it ROUNDS (5) times in each of four variants and prints a table.
# It needs 3 GB in DIR, which is where the stores are, and jq.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
work=$(mktemp -d -p "${2:-${TMPDIR:-/tmp}}")
trap 'rm -rf "$work"' EXIT

layout=$work/usr
mkdir -p "$layout/blobs/sha256"
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"

# blob FILE TYPE: moves it into the layout and prints its descriptor.
blob() {
  local digest size
  digest=$(sha256sum "$1" | cut -d ' ' -f 1)
  size=$(stat -c %s "$1")
  mv "$1" "$layout/blobs/sha256/$digest"
  jq -nc --arg t "$2" --arg d "sha256:$digest" --argjson s "$size" '{mediaType: $t, digest: $d, size: $s}'
}

find /usr -xdev -type f -size -2000k -printf '%s\t%P\n' | LC_ALL=C sort -t $'\t' -k 2 |
  awk -F '\t' -v list="$work/list" '
    n < 50000 && bytes + $1 < 1e9 {bytes += $1; n++; print $2 > (list "." int(n / 12501))}
    END {printf "%d files, %.0f bytes\n", n, bytes}'

for list in "$work"/list.?; do
  tar -C /usr --no-recursion --ignore-failed-read -T "$list" -cf "$work/layer"
  echo "\"sha256:$(sha256sum "$work/layer" | cut -d ' ' -f 1)\"" >>"$work/diffids"
  gzip -3n "$work/layer"
  blob "$work/layer.gz" application/vnd.oci.image.layer.v1.tar+gzip >>"$work/layers"
done
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
jq -sc --arg a "$arch" '{os: "linux", architecture: $a, rootfs: {type: "layers", diff_ids: .}}' "$work/diffids" >"$work/config"
config=$(blob "$work/config" application/vnd.oci.image.config.v1+json)
manifest=application/vnd.oci.image.manifest.v1+json
jq -sc --argjson c "$config" --arg t "$manifest" '{schemaVersion: 2, mediaType: $t, config: $c, layers: .}' "$work/layers" >"$work/manifest"
blob "$work/manifest" "$manifest" | jq -c '{schemaVersion: 2, manifests: [. + {annotations: {"org.opencontainers.image.ref.name": "latest"}}]}' >"$layout/index.json"
du -sh "$layout"

LAYERCTL_COST_IMAGE=oci:$layout LAYERCTL_COST_DIR=$work LAYERCTL_COST_ROUNDS=$rounds \
  go test -run '^$' -bench PullCost -benchtime 1x .
