#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Signatures in a registry that Debian ships, made by openssl in cosign's form,
# and containerd that asks layerctl before it pulls: signatures.sh LAYERCTL.
# containerd 2.4 and crictl are in $LAYERCTL_ENGINES, as test/containerd.sh
# builds them; without them that part is left out. Needs root, docker-registry,
# skopeo, openssl, curl and jq.
set -euo pipefail
layerctl=$(realpath "$1")
cd "$(dirname "$0")/.."
hello=$(realpath testdata/images/hello)

work=$(mktemp -d)
# shellcheck source=test/compare.sh
. test/compare.sh
# shellcheck source=test/registry.sh
. test/registry.sh
engine=
cleanup() {
  [ -z "$engine" ] || { kill "$engine" 2>/dev/null; wait "$engine"; } || true
  [ -z "${registry:-}" ] || stop_registry
  while read -r mounted; do umount -l "$mounted" || true; done < <(awk -v w="$work/" 'index($5, w) == 1 {print $5}' /proc/self/mountinfo | sort -r)
  rm -rf --one-file-system "$work" || true
}
trap cleanup EXIT
say() { echo "signatures: $* (${SECONDS}s)"; }

say '-- a registry'
start_registry
host=127.0.0.1:$port
api=http://$host/v2

# blob REPOSITORY FILE, and put REPOSITORY TAG TYPE FILE: what a registry takes.
blob() {
  local at
  at=$(curl -fsi -X POST "$api/$1/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //Ip')
  curl -fs -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$2" "$at&digest=sha256:$(sha256sum "$2" | cut -d' ' -f1)"
}
put() { curl -fs -X PUT -H "Content-Type: $3" --data-binary "@$4" "$api/$1/manifests/$2"; }

# sign REPOSITORY KEY REFERENCE [DIGEST]: what 'cosign sign --key' puts beside the
# image, for the digest or another.
sign() {
  local of=${index} payload=$work/payload signature
  printf '{"critical":{"identity":{"docker-reference":"%s"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}' "$3" "${4:-$of}" >"$payload"
  signature=$(openssl dgst -sha256 -sign "$2" "$payload" | base64 -w0)
  printf '{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]}}' >"$work/config"
  blob "$1" "$payload"
  blob "$1" "$work/config"
  jq -n --arg c "sha256:$(sha256sum "$work/config" | cut -d' ' -f1)" --argjson cs "$(stat -c %s "$work/config")" \
    --arg p "sha256:$(sha256sum "$payload" | cut -d' ' -f1)" --argjson ps "$(stat -c %s "$payload")" --arg s "$signature" --argjson n "${copies:-1}" \
    '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $c, size: $cs},
      layers: [range($n) | {mediaType: "application/vnd.dev.cosign.simplesigning.v1+json", digest: $p, size: $ps, annotations: {"dev.cosignproject.cosign/signature": $s}}]}' >"$work/signature"
  put "$1" "${of/:/-}.sig" application/vnd.oci.image.manifest.v1+json "$work/signature"
}

for name in signed unsigned stranger other named; do
  skopeo copy -q --all --dest-tls-verify=false "oci:$hello:latest" "docker://$host/$name:1"
done
index=sha256:$(skopeo inspect --raw --tls-verify=false "docker://$host/signed:1" | sha256sum | cut -d' ' -f1)
for key in good bad; do
  openssl ecparam -name prime256v1 -genkey -noout -out "$work/$key.key"
  openssl pkey -in "$work/$key.key" -pubout -out "$work/$key.pub"
done
sign signed "$work/good.key" "$host/signed"
sign stranger "$work/bad.key" "$host/stranger"
sign other "$work/good.key" "$host/other" "sha256:$(printf 0%.0s $(seq 64))"
sign named "$work/good.key" "$host/named:2"

export LAYERCTL_STORE=$work/store
expect() { local code=$1 got=0; shift; "$layerctl" "$@" >"$work/out" 2>&1 || got=$?; [ "$got" = "$code" ] || { cat "$work/out"; fail "$* is $got, want $code"; }; }
told() { grep -q "$1" "$work/out" || { cat "$work/out"; fail "nobody says $1"; }; }
by=(--platform linux/amd64 --policy none --verify-key "$work/good.pub")

say '-- by a key'
expect 0 pull -q "$host/signed:1" "${by[@]}"
expect 0 pull -q --offline "$host/signed:1" "${by[@]}"
expect 4 pull -q "$host/unsigned:1" "${by[@]}"
told 'there is none'
expect 6 pull -q "$host/stranger:1" "${by[@]}"
told 'none of the keys made it'
expect 6 pull -q "$host/other:1" "${by[@]}"
told 'of another image'
"$layerctl" images --json | jq -e 'length == 1 and (.[0].trust[0].signatures | length) == 1' >/dev/null || fail 'a refused image is in the store, or no record'
! grep -rqs stranger "$work/store/refs" "$work/store/blobs/index.json" || fail 'something of a refused image is kept'

say '-- by a policy'
jq -n --arg h "$host" --arg k "$work/good.pub" '{default: [{type: "reject"}], transports: {docker: {
  ($h): [{type: "sigstoreSigned", keyPath: $k}], ($h + "/signed"): [{type: "sigstoreSigned", keyPath: $k, signedIdentity: {type: "matchRepository"}}]}}}' >"$work/policy.json"
expect 0 verify-signature "$host/signed:1" --platform linux/amd64 --policy "$work/policy.json"
expect 6 verify-signature "$host/named:1" --platform linux/amd64 --policy "$work/policy.json"
told 'policy .*policy.json, line [0-9]* (docker:'"$host"')'
told 'it is for .*named:2'
expect 4 verify-signature "oci:$hello:latest" --platform linux/amd64 --policy "$work/policy.json"
told 'rejects every image'

say '-- a thousand of a stranger, and one that is taken away'
copies=1000 sign signed "$work/bad.key" "$host/signed"
expect 6 verify-signature "$host/signed:1" "${by[@]}"
told '1000 times'
sign signed "$work/good.key" "$host/signed"
expect 0 verify-signature "$host/signed:1" "${by[@]}"

bin=${LAYERCTL_ENGINES:-}
if [ -x "$bin/containerd" ] && [ -x "$bin/crictl" ]; then
  say '-- containerd asks before it pulls'
  mkdir -p "$work/bin" "$work/certs.d/$host"
  printf '#!/bin/sh\nexec %s image-verifier --policy none --verify-key %s "$@"\n' "$layerctl" "$work/good.pub" >"$work/bin/layerctl-verifier"
  chmod +x "$work/bin/layerctl-verifier"
  printf 'server = "http://%s"\n[host."http://%s"]\n  capabilities = ["pull", "resolve"]\n' "$host" "$host" >"$work/certs.d/$host/hosts.toml"
  cat >"$work/config.toml" <<TOML
version = 3
root = "$work/root"
state = "$work/state"
[grpc]
  address = "$work/c.sock"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.image-verifier.v1.bindir"]
  bin_dir = "$work/bin"
  max_verifiers = 10
  per_verifier_timeout = "60s"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "$work/certs.d"
[plugins."io.containerd.internal.v1.opt"]
  path = "$work/opt"
TOML
  "$bin/containerd" --config "$work/config.toml" >"$work/engine.log" 2>&1 &
  engine=$!
  crictl() { "$bin/crictl" -r "unix://$work/c.sock" -i "unix://$work/c.sock" "$@"; }
  for _ in $(seq 300); do ! crictl info >/dev/null 2>&1 || break; sleep 0.2; done
  crictl pull "$host/signed:1" || { tail -n 20 "$work/engine.log"; fail 'a signed image is not pulled'; }
  for name in unsigned stranger; do
    ! crictl pull "$host/$name:1" 2>"$work/out" || fail "$name is pulled"
    told 'image verifier'
  done
  told 'none of the keys made it'
  [ "$(crictl images -q | wc -l)" = 1 ] || fail 'a refused image is listed'
  # What it takes is a start and the requests.
  TIMEFORMAT=%U+%S
  { time "$layerctl" image-verifier --policy none --verify-key "$work/good.pub" -name "$host/signed:1" -digest "$index" >/dev/null 2>&1; } 2>"$work/cpu"
  say "one answer took $(cat "$work/cpu") seconds of CPU"
fi
say '-- done'
