#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Fetching from real servers: fetch.sh LAYERCTL. Debian's docker-registry with
# a user and a certificate of its own authority, an nginx in front of it that
# throttles, skopeo to read what was kept. Needs docker-registry,
# apache2-utils, nginx-light, openssl, skopeo, jq and zstd. LAYERCTL_TEST_BIG is
# the size of a layer of the images that are pulled with little memory (default
# 75M).
set -euo pipefail
layerctl=$(realpath "$1")
cd "$(dirname "$0")/.."

work=$(mktemp -d)
chmod 755 "$work" # nginx's workers are another user's
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work" || true
}
trap cleanup EXIT
fail() { echo "fetch: $*" >&2; exit 1; }

# shellcheck source=test/registry.sh
. test/registry.sh

# put FILE TYPE: the descriptor of a blob that is copied into the layout.
put() {
  local hex
  hex=$(sha256sum "$1" | cut -d' ' -f1)
  cp "$1" "$layout/blobs/sha256/$hex"
  jq -cn --arg t "$2" --arg d "sha256:$hex" --argjson s "$(stat -c %s "$1")" '{mediaType: $t, digest: $d, size: $s}'
}

# make_image NAME SIZE COUNT FORM COMPRESS…: an image in $layout of COUNT layers
# of noise.
make_image() {
  local n layers=() diffs=() manifest name=$1 size=$2 count=$3 form=$4
  shift 4
  for n in $(seq "$count"); do
    head -c "$size" /dev/urandom >"$work/noise-$n"
    tar -C "$work" -cf "$work/layer.tar" "noise-$n"
    diffs+=("sha256:$(sha256sum "$work/layer.tar" | cut -d' ' -f1)")
    "$@" <"$work/layer.tar" >"$work/blob"
    layers+=("$(put "$work/blob" "application/vnd.oci.image.layer.v1.tar+$form")")
    rm "$work/layer.tar" "$work/blob" "$work/noise-$n"
  done
  jq -cn '{architecture: "amd64", os: "linux", rootfs: {type: "layers", diff_ids: $ARGS.positional}}' --args "${diffs[@]}" >"$work/config"
  jq -cn --argjson c "$(put "$work/config" application/vnd.oci.image.config.v1+json)" \
    '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $c, layers: $ARGS.positional | map(fromjson)}' --args "${layers[@]}" >"$work/manifest"
  manifest=$(put "$work/manifest" application/vnd.oci.image.manifest.v1+json)
  jq -c --arg n "$name" --argjson m "$manifest" '.manifests += [$m + {annotations: {"org.opencontainers.image.ref.name": $n}}]' "$layout/index.json" >"$work/index"
  mv "$work/index" "$layout/index.json"
}

layout=$work/layout
mkdir -p "$layout/blobs/sha256"
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
echo '{"schemaVersion":2,"manifests":[]}' >"$layout/index.json"
make_image ten 10500000 1 gzip gzip -1 -n
make_image big "${LAYERCTL_TEST_BIG:-75M}" 4 gzip gzip -1 -n
make_image big-zstd "${LAYERCTL_TEST_BIG:-75M}" 4 zstd zstd -q -1 --long=23 # windows of 8 MiB

mkdir "$work/tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test \
  -addext subjectAltName=IP:127.0.0.1 -keyout "$work/tls/key" -out "$work/tls/ca.crt" 2>/dev/null
htpasswd -Bbn alice 'se:cret' >"$work/htpasswd"
for try in 1 2 3 4 5; do
  port=$(any_port)
  cat >"$work/registry.yml" <<CONFIG
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: '127.0.0.1:$port', tls: {certificate: $work/tls/ca.crt, key: $work/tls/key}}
auth: {htpasswd: {realm: test, path: $work/htpasswd}}
CONFIG
  docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
  pids+=($!)
  ! listens "$port" $! || break
  [ "$try" -lt 5 ] || { cat "$work/registry.log"; fail 'the registry did not start'; }
done
host=127.0.0.1:$port
mkdir "$work/certs"
cp "$work/tls/ca.crt" "$work/certs"
for name in ten big big-zstd; do
  skopeo copy -q --dest-cert-dir "$work/certs" --dest-creds alice:se:cret "oci:$layout:$name" "docker://$host/$name:1"
done

mkdir -p "$work/hosts/$host" "$work/mirrored/$host"
echo "ca = \"$work/tls/ca.crt\"" >"$work/hosts/$host/hosts.toml"
export LAYERCTL_AUTH_FILE=$work/auth.json
pull() { "$layerctl" pull --store "$store" --hosts-dir "$work/hosts" --platform linux/amd64 --progress plain "$@" 2>"$work/said"; }
expect() { # CODE COMMAND…
  local code=0 want=$1
  shift
  "$@" >/dev/null || code=$?
  [ "$code" = "$want" ] || { cat "$work/said"; fail "exit $code, want $want: $*"; }
}

store=$work/first
expect 4 pull "$host/ten:1"
expect 5 pull --hosts-dir "$work/mirrored" --retry 0 "$host/ten:1"
if echo wrong | "$layerctl" login -q --hosts-dir "$work/hosts" -u alice --password-stdin "$host" 2>"$work/said"; then fail 'a wrong password was accepted'; fi
echo 'alice:se:cret' | expect 0 pull --creds-stdin "$host/ten:1"
[ ! -e "$LAYERCTL_AUTH_FILE" ] || fail 'credentials of standard input were kept'
echo se:cret | "$layerctl" login -q --hosts-dir "$work/hosts" -u alice --password-stdin "$host"
[ "$(stat -c %a "$LAYERCTL_AUTH_FILE")" = 600 ] || fail 'the file of credentials is not 0600'
expect 0 pull --verbose "$host/ten:1"
if grep -rqE 'se:cret|YWxpY2U6c2U6Y3JldA' "$work/said"; then fail 'a secret was logged'; fi
echo "fetch: docker-registry with a user and a CA of its own"

# A new process has to be told to log in again: a 401, then the HEAD.
grep -qxE 'layerctl: [12] requests?' "$work/said" || fail "a second pull: $(grep request "$work/said")"
echo "fetch: pulled again with $(grep -oE '[0-9]+ requests?$' "$work/said"), the refusal that asks for the password included"

store=$work/limited
begin=$(date +%s%N)
expect 0 pull --limit-rate 1M --progress json "$host/ten:1"
ms=$((($(date +%s%N) - begin) / 1000000))
size=$(jq '.layers[0].size' "$work/registry/docker/registry/v2/blobs/sha256"/*/"$(jq -r '.manifests[0].digest[7:]' "$layout/index.json")/data")
rate=$((size * 1000 / ms))
# How near it comes to the limit TestLimit says: here the machine is in it too.
if [ "$rate" -gt 1050000 ] || [ "$rate" -lt 200000 ]; then fail "--limit-rate 1M: $size bytes in $ms ms, $rate a second"; fi
grep -q '"left":' "$work/said" || fail 'no time left was said in ten seconds'
echo "fetch: --limit-rate 1M: $size bytes in $ms ms, $rate a second"

# nginx sends 2 MB/s and dies in the middle; the registry goes on.
for try in 1 2 3 4 5; do
  front=$(any_port)
  cat >"$work/nginx.conf" <<CONFIG
daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.log;
events {}
http {
  log_format parts '\$status \$msec \$request_time \$sent_http_content_range';
  access_log $work/nginx.access parts; proxy_temp_path $work/nginx.tmp; client_body_temp_path $work/nginx.body;
  fastcgi_temp_path $work/nginx.f; uwsgi_temp_path $work/nginx.u; scgi_temp_path $work/nginx.s;
  server {
    listen 127.0.0.1:$front;
    location / {
      limit_rate 2m;
      proxy_pass https://$host;
      proxy_set_header Authorization "Basic $(printf %s alice:se:cret | base64)";
    }
  }
}
CONFIG
  nginx -c "$work/nginx.conf" -p "$work" 2>/dev/null &
  nginx=$!
  pids+=("$nginx")
  ! listens "$front" "$nginx" || break
  [ "$try" -lt 5 ] || { cat "$work/nginx.log"; fail 'nginx did not start'; }
done
cat >"$work/mirrored/$host/hosts.toml" <<CONFIG
ca = "$work/tls/ca.crt"
[host."http://127.0.0.1:$front"]
CONFIG
# The limit is one for each request, so several at once are faster than one, but
# for what else the machine has to do: nginx tells that they were at once.
timed() { # STORE FLAG…
  local begin
  begin=$(date +%s%N)
  store=$work/$1
  shift
  : >"$work/nginx.access"
  expect 0 pull --hosts-dir "$work/mirrored" "$@" "$host/ten:1"
  ms=$((($(date +%s%N) - begin) / 1000000))
}
# parts: how many different parts were asked for, each of which ends elsewhere:
# what is asked for again ends where it ended. nginx writes a line when an answer has ended.
parts() { awk '$1 == 206 {split($5, r, "[-/]"); ends[r[2]]} END {for (e in ends) n++; print n + 0}' "$work/nginx.access"; }
# together: how many parts were asked for half a second and more before an earlier
# one had come: what is asked for again overlaps less.
together() {
  awk '$1 == 206 {printf "%.3f %.3f\n", $2 - $3, $2}' "$work/nginx.access" | sort -n |
    awk '$1 + 0.5 < last {n++} $2 > last {last = $2} END {print n + 0}'
}
timed one
one=$ms
[ "$(together)" = 0 ] || fail "without --ranges $(together) parts were asked for at once"
# The blob of ten MB is three parts of 4 MiB, the first among them. Whoever sleeps
# for as long as a part takes asks for the next one afterwards, but not each time.
for try in 1 2 3 4 5; do
  timed "four.$try" --ranges 4
  for _ in $(seq 300); do [ "$(parts)" -lt 3 ] || break; sleep 0.1; done
  [ "$(parts)" -ge 3 ] || fail "--ranges 4 asked for $(parts) parts"
  cmp "$work/one/layers"/*/fs/noise-1 "$store/layers"/*/fs/noise-1 || fail '--ranges 4 made another tree'
  [ "$(together)" -lt 1 ] || break
  [ "$try" -lt 5 ] || { cat "$work/nginx.access"; fail '--ranges 4 asked for one part after the other'; }
done
echo "fetch: $size bytes at 2 MB/s a connection in $one ms, with --ranges 4, $(together) parts of $(parts) at once with another, in $ms ms"

store=$work/throttled
# It dies when two megabytes have come.
(until [ "$(du -sb "$store" 2>/dev/null | cut -f 1)" -gt 2000000 ] 2>/dev/null; do sleep 0.05; done; kill "$nginx") &
pids+=($!)
expect 0 pull --hosts-dir "$work/mirrored" "$host/ten:1"
grep -E "layerctl: $host/ten:1: [0-9.]+ MB from 127.0.0.1:$front, [0-9.]+ MB from $host$" "$work/said" | sed 's/^layerctl/fetch: over an nginx that throttles and dies/' ||
  { cat "$work/said"; fail 'nginx and the registry have not both sent something'; }

store=$work/kept
expect 0 pull --keep-blobs "$host/ten:1"
skopeo copy -q "oci:$store/blobs:$host/ten:1" "oci:$work/copy:ten"
[ "$(jq -r '.manifests[0].digest' "$work/copy/index.json")" = "$(jq -r '.manifests[0].digest' "$layout/index.json")" ] || fail 'skopeo copied another digest out of the cache'
echo 'fetch: skopeo copies the same digest out of the cache'

# peak COMMAND…: the most resident memory in kB, as the kernel has it.
peak() {
  "$@" >/dev/null 2>&1 &
  local pid=$! now most=0
  while now=$(awk '/^VmHWM/ {print $2}' "/proc/$pid/status" 2>/dev/null) && [ -n "$now" ]; do
    most=$now
    sleep 0.02
  done
  wait "$pid" || return
  echo "$most"
}
# little IMAGE FLAG…
little() {
  local image=$1 most
  shift
  most=$(peak "$layerctl" pull --store "$work/little" --hosts-dir "$work/hosts" --platform linux/amd64 --max-memory 48M "$@" "$host/$image:1")
  [ "$most" -lt 48000 ] || fail "--max-memory 48M $* took $most kB for $image"
  echo "fetch: --max-memory 48M${*:+ $*} took $most kB at the most for $image, 4 layers of ${LAYERCTL_TEST_BIG:-75M}"
  rm -rf "$work/little"
}
little big
little big --ranges 4
little big-zstd
little big-zstd --ranges 4

"$layerctl" logout "$host"
expect 4 pull "$host/big:1"
