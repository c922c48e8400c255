#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Copies and indexes, against real registries: copy.sh LAYERCTL [REGISTRY…].
# Needs Debian's docker-registry, apache2-utils, nginx-light, skopeo, docker.io,
# python3 and jq, and in $LAYERCTL_TEST_IMAGES an OCI layout alpine-3.20. Each
# REGISTRY is a program that is started as docker-registry is, such as one of
# distribution v3, and copied to and from too; crane, regctl, manifest-tool and
# buildx in $PATH make the index that ours is compared with.
set -euo pipefail
layerctl=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
images=$(realpath "${LAYERCTL_TEST_IMAGES:?names the directory that holds alpine-3.20}")

work=$(mktemp -d)
pids=()
# shellcheck source=test/compare.sh
. test/compare.sh
# shellcheck source=test/registry.sh
. test/registry.sh
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work" || true
}
trap stop EXIT

say() { echo "copy: $*"; }
is() { [ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"; } # WHAT GOT WANT
export LAYERCTL_STORE=$work/store XDG_STATE_HOME=$work/state DOCKER_CONFIG=$work/docker
mkdir "$work/docker"

# serve NAME PROGRAM [LINE]: starts a registry that any port will do for; its
# address is in $address.
serve() {
  local name=$1 program=$2 port
  for _ in 1 2 3 4 5; do
    port=$(any_port)
    printf '%s\n' 'version: 0.1' 'log: {level: error, accesslog: {disabled: true}}' \
      "storage: {filesystem: {rootdirectory: $work/$name}, maintenance: {readonly: {enabled: ${readonly:-false}}}}" \
      "http: {addr: '127.0.0.1:$port'}" "${3:-}" >"$work/$name.yml"
    "$program" serve "$work/$name.yml" >"$work/$name.log" 2>&1 &
    pids+=($!)
    address=127.0.0.1:$port
    ! listens "$port" $! || return 0
  done
  fail "$program did not start: $(cat "$work/$name.log")"
}

root=$(jq -r '.manifests[0].digest' "$images/alpine-3.20/index.json")
plain=()
places=("oci:$work/NAME:1" "oci-archive:$work/NAME.tar:1")
for program in docker-registry "$@"; do
  serve "registry${#plain[@]}" "$program"
  plain+=(--plain-http "$address")
  places+=("$address/NAME:1")
done
registry=${places[2]%%/*}
ctl() { "$layerctl" --quiet "${plain[@]}" "$@"; }
count() { jq -r "$1" "$work/done.json"; }

say "-- all pairs of ${#places[@]} places"
for n in "${!places[@]}"; do ctl copy "oci:$images/alpine-3.20" "${places[$n]/NAME/from}" >/dev/null; done
for n in "${!places[@]}"; do
  from=${places[$n]/NAME/from}
  for place in "${places[@]}"; do
    to=${place/NAME/to$n}
    # The second line of a copy to where it is already: two requests at most, and
    # no byte.
    ctl copy --json "$from" "$to" >"$work/done.json"
    is "$from to $to" "$(ctl inspect --digest "$to")" "$root"
    sent=$(count '"\(.manifests) \(.blobs.sent + .blobs.mounted)"')
    requests=$("$layerctl" "${plain[@]}" -v copy --json "$from" "$to" 2>"$work/err" >"$work/done.json"; sed -n 's/^layerctl: \([0-9]*\) requests*$/\1/p' "$work/err")
    is "$from to $to again" "$(count '"\(.manifests) \(.blobs.sent) \(.bytes)"')" '0 0 0'
    say "$from to $to: sent $sent; again ${requests:-0} requests"
    case $from$to in 127.*127.*) is 'requests of a second copy' "$requests" 2 ;; esac
  done
done
skopeo inspect --raw --tls-verify=false "docker://$registry/to0:1" | sha256sum | grep "^${root#*:}" >/dev/null || fail 'skopeo reads another index'
skopeo copy -q --all --src-tls-verify=false "docker://$registry/to0:1" "oci:$work/skopeo:1"
skopeo copy -q --all "oci:$work/to0:1" "oci:$work/skopeo2:1"
skopeo copy -q --all "oci-archive:$work/to0.tar:1" "oci:$work/skopeo3:1"

say '-- one platform, two platforms, tags'
ctl copy --platform linux/arm/v7 "oci:$images/alpine-3.20" "docker-archive:$work/one.tar:alpine:1" >/dev/null
is 'Docker archive' "$(skopeo inspect --format '{{.Architecture}}' "docker-archive:$work/one.tar")" arm
ctl copy --platform linux/arm/v7 --platform linux/amd64 "$registry/from:1" "$registry/two:1" >/dev/null
is 'two platforms' "$(ctl platforms --json "$registry/two:1" | jq -r '[.. | .platform? // empty] | length')" 2
is tags "$(ctl tags "$registry/from")" 1

say '-- converted: skopeo reads it, and the files stay the same'
ctl copy --docker "$registry/from:1" "$registry/docker:1" >/dev/null
is 'media type' "$(skopeo inspect --raw --tls-verify=false "docker://$registry/docker:1" | jq -r .mediaType)" application/vnd.docker.distribution.manifest.list.v2+json
skopeo copy -q --all --src-tls-verify=false "docker://$registry/docker:1" "oci:$work/skopeo4:1"
ctl copy --oci "$registry/docker:1" "$registry/back:1" >/dev/null
ctl copy --oci --compress zstd --platform linux/amd64 "$registry/docker:1" "$registry/zstd:1" >/dev/null
skopeo copy -q --src-tls-verify=false "docker://$registry/zstd:1" "oci:$work/skopeo5:1"
is 'layers' "$(skopeo inspect --raw "oci:$work/skopeo5:1" | jq -r '.layers[].mediaType' | sort -u)" application/vnd.oci.image.layer.v1.tar+zstd
for name in from docker back zstd; do ctl export --platform linux/amd64 "$registry/$name:1" | sha256sum; done | sort -u | wc -l | grep -qx 1 || fail 'a converted image has other files'

say '-- cut at every 256 KiB'
cat >"$work/cut.py" <<'PYTHON'
# cut.py HOST:PORT: passes connections on, and ends each after 256 KiB that the
# client has sent.
import socket, sys, threading
host, port = sys.argv[1].split(':')
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
def back(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
def serve(client):
    server = socket.create_connection((host, int(port)))
    threading.Thread(target=back, args=(server, client), daemon=True).start()
    left = 256 << 10
    try:
        while left > 0 and (data := client.recv(min(65536, left))):
            server.sendall(data)
            left -= len(data)
    except OSError:
        pass
    for s in (client, server):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        s.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PYTHON
for ((n = 0; n < ${#plain[@]}; n += 2)); do
  python3 "$work/cut.py" "${plain[$n+1]}" >"$work/cut.port" &
  pids+=($!)
  for _ in $(seq 600); do [ -s "$work/cut.port" ] && break; sleep 0.1; done
  cut=127.0.0.1:$(cat "$work/cut.port")
  rm "$work/cut.port"
  "$layerctl" -q --plain-http "$cut" copy --platform linux/amd64 "oci:$images/alpine-3.20" "$cut/cut:1" >"$work/cut.out"
  ctl copy "${plain[$n+1]}/cut:1" "oci:$work/cut$n:1" >/dev/null
done

say '-- what a registry does not allow'
refuses() { # CODE WORDS COMMAND…
  local want=$1 words=$2 code=0
  shift 2
  "$@" >/dev/null 2>"$work/err" || code=$?
  is "exit code of $*" "$code" "$want"
  is "lines of error of $*" "$(grep -c '^layerctl: error: ' "$work/err")" 1
  grep -q -- "$words" "$work/err" || fail "$*: $(cat "$work/err")"
}
htpasswd -Bbn user right >"$work/htpasswd" 2>/dev/null
serve locked docker-registry "auth: {htpasswd: {realm: test, path: $work/htpasswd}}"
push=(copy -q --retry 1 --platform linux/amd64 "oci:$images/alpine-3.20")
refuses 4 'no credentials' "$layerctl" "${push[@]}" --plain-http "$address" "$address/a:1"
echo user:wrong | refuses 4 401 "$layerctl" "${push[@]}" --plain-http "$address" --creds-stdin "$address/a:1"
echo user:right | "$layerctl" "${push[@]}" --plain-http "$address" --creds-stdin "$address/a:1" >/dev/null
readonly=true serve readonly docker-registry
refuses 4 'takes no pushes' "$layerctl" "${push[@]}" --plain-http "$address" "$address/a:1"
for try in 1 2 3 4 5; do
  limited=$(any_port)
  cat >"$work/nginx.conf" <<NGINX
daemon off; pid $work/nginx.pid; error_log $work/nginx.log;
events {}
http {
  access_log off; client_body_temp_path $work/nginx; proxy_temp_path $work/nginx; fastcgi_temp_path $work/nginx;
  uwsgi_temp_path $work/nginx; scgi_temp_path $work/nginx;
  server {
    listen 127.0.0.1:$limited;
    client_max_body_size 1m;
    location / { proxy_pass http://$registry; proxy_set_header Host \$http_host; }
    location ~ /manifests/fixed\$ { if (\$request_method = PUT) { return 409; } proxy_pass http://$registry; }
  }
}
NGINX
  nginx -c "$work/nginx.conf" -p "$work" 2>"$work/nginx.err" &
  pids+=($!)
  ! listens "$limited" $! || break
  [ "$try" -lt 5 ] || { cat "$work/nginx.err"; fail 'nginx did not start'; }
done
refuses 4 'a quota or a limit of size' "$layerctl" "${push[@]}" --plain-http "127.0.0.1:$limited" "127.0.0.1:$limited/quota:1"
refuses 4 'does not let the tag fixed be changed' "$layerctl" copy -q --plain-http "127.0.0.1:$limited" "127.0.0.1:$limited/from:1" "127.0.0.1:$limited/from:fixed"

say '-- four images that four jobs have built become one name'
for platform in linux/amd64 linux/arm/v6 linux/arm/v7 linux/arm64/v8; do
  tag=${platform#linux/}
  ctl copy --platform $platform "oci:$images/alpine-3.20" "$registry/app:${tag/\//}" >/dev/null
done
members=("$registry/app:amd64" "$registry/app:armv6" "$registry/app:armv7" "$registry/app:arm64v8")
ctl index push from-args --type oci --platforms linux/amd64,linux/arm/v6,linux/arm/v7,linux/arm64/v8 \
  --template "$registry/app:ARCHVARIANT" --target "$registry/app:1" --tags latest
ctl index create --push "$registry/app:2" "${members[@]}" >/dev/null
made=$(ctl inspect --digest "$registry/app:1")
is 'the same list by index create' "$(ctl inspect --digest "$registry/app:2")" "$made"
is 'a tag more' "$(ctl inspect --digest "$registry/app:latest")" "$made"
skopeo inspect --raw --tls-verify=false "docker://$registry/app:1" >"$work/skopeo.json"
is 'skopeo' "sha256:$(sha256sum <"$work/skopeo.json" | cut -d' ' -f1)" "$made"
docker manifest inspect --insecure "$registry/app:1" | jq -S . >"$work/docker.json"
jq -S . "$work/skopeo.json" | diff - "$work/docker.json" >/dev/null || fail 'docker manifest inspect shows another list'
ctl inspect --docker "$registry/app:1" | jq -S . | diff - "$work/docker.json" || fail 'inspect --docker shows another list'
is 'manifest-tool' "$(ctl inspect --manifest-tool "$registry/app:1" | grep -c 'Arch: ')" 4
for pair in 'linux/arm/v6 armv6' 'linux/arm/v7 armv7' 'linux/arm64/v8 arm64v8' 'linux/amd64 amd64'; do # a Pi Zero, a Pi 2, a Pi 4
  chosen=$(ctl resolve --platform "${pair% *}" "$registry/app:1")
  is "$pair" "${chosen#*@}" "$(ctl inspect --digest "$registry/app:${pair#* }")"
done

# What is in the list is the same; how the bytes are written is each program's own.
entries() { jq -cS '[.manifests[] | {mediaType, digest, size, platform}]'; }
ours=$(entries <"$work/skopeo.json")
if command -v crane >/dev/null; then
  crane index append --insecure --docker-empty-base=false -t "$registry/app:crane" "${members[@]/#/--manifest=}" >/dev/null 2>&1
  is 'crane index append' "$(crane manifest --insecure "$registry/app:crane" | entries)" "$ours"
  crane manifest --insecure "$registry/app:crane" >"$work/crane.json"
  if cmp -s "$work/crane.json" "$work/skopeo.json"; then say 'byte for byte that of crane'; else say 'the entries of crane, in other bytes'; fi
fi
if command -v regctl >/dev/null; then
  regctl registry set --tls disabled "$registry" 2>/dev/null
  regctl index create "$registry/app:regctl" "${members[@]/#/--ref=}" >/dev/null
  is 'regctl index create' "$(regctl manifest get --format raw-body "$registry/app:regctl" | entries)" "$ours"
  regctl manifest get --format raw-body "$registry/app:regctl" >"$work/regctl.json"
  if cmp -s "$work/regctl.json" "$work/skopeo.json"; then say 'byte for byte that of regctl'; else say 'the entries of regctl, in other bytes'; fi
fi
if command -v manifest-tool >/dev/null; then
  for type in oci docker; do
    manifest-tool --plain-http push --type $type from-args --platforms linux/amd64,linux/arm/v6,linux/arm/v7,linux/arm64/v8 \
      --template "$registry/app:ARCHVARIANT" --target "$registry/app:tool" >/dev/null
    ctl index push --type $type from-args --platforms linux/amd64,linux/arm/v6,linux/arm/v7,linux/arm64/v8 \
      --template "$registry/app:ARCHVARIANT" --target "$registry/app:like-tool" >/dev/null
    diff <(ctl inspect --raw "$registry/app:tool" | jq -S .) <(ctl inspect --raw "$registry/app:like-tool" | jq -S .) || fail "manifest-tool makes another $type list"
  done
  manifest-tool --plain-http inspect "$registry/app:1" >"$work/tool.txt" 2>&1
  ctl inspect --manifest-tool "$registry/app:1" | diff "$work/tool.txt" - || fail 'manifest-tool inspect prints something else'
  say 'the lists of manifest-tool but for spaces, and byte for byte what it prints'
fi
if command -v buildx >/dev/null; then
  buildx imagetools inspect --raw "$registry/app:1" | cmp - "$work/skopeo.json" || fail 'buildx reads another index'
  buildx imagetools create -t "$registry/app:buildx" "${members[@]}" 2>/dev/null
  # It takes the variant v8 of arm64 away, which means the same.
  is 'buildx imagetools create' "$(ctl inspect --raw "$registry/app:buildx" | entries)" "${ours//,\"variant\":\"v8\"/}"
  say 'the entries of buildx, but for the variant v8 of arm64'
fi
say ok
