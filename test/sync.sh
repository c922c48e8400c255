#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A node that is kept equal to a list: sync.sh LAYERCTL. A real registry and a
# real containerd; ten stores of a site; kill -9 at random moments (15 times, or
# 100 with LAYERCTL_FULL=1); memory in a cgroup; metrics by the library that
# promtool calls. Needs root, Go, Debian's containerd, runc, docker-registry,
# skopeo, jq and python3, and in $LAYERCTL_TEST_IMAGES an OCI layout alpine-3.20.
set -euo pipefail
layerctl=$(realpath "$1")
cd "$(dirname "$0")/.."
images=$(realpath "${LAYERCTL_TEST_IMAGES:?names the directory that holds alpine-3.20}")

work=$(mktemp -d)
registry='' engine='' pipe='' server='' group=''
# shellcheck source=test/compare.sh
. test/compare.sh
# shellcheck source=test/registry.sh
. test/registry.sh
cleanup() {
  local pid
  # The shims of this test's containers, by their own socket's address.
  for pid in $(pgrep -f -- "-address $work/"); do kill -9 "$pid" || true; done
  for pid in $server $pipe $engine $registry; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" || true
  done
  while read -r mounted; do umount -l "$mounted" || true; done < <(awk -v w="$work/" 'index($5, w) == 1 {print $5}' /proc/self/mountinfo | sort -r)
  [ -z "$group" ] || rmdir "$group" || true
  rm -rf --one-file-system "$work" || true
}
trap cleanup EXIT
say() { echo "sync: $* (${SECONDS}s)"; }

say '-- a registry with eight images, and containerd'
start_registry
mkdir "$work/images"
for n in 2 3 4 5 6; do test/engine-image.py --layers "$n" "$images/alpine-3.20" "$work/images/$n" "localhost/n:$n"; done
test/engine-image.py "$images/alpine-3.20" "$work/images/mended" localhost/mended:1
push() { skopeo copy -q --all --dest-tls-verify=false "oci:$1" "docker://localhost:$port/$2"; }
push "$images/alpine-3.20" library/alpine:3.20
push "$work/images/2" app:1
push "$work/images/3" app:2
push "$work/images/4" web:1
push "$work/images/5" db:1
push "$work/images/mended" tools:1
push testdata/images/hello hello:1
# A list in the registry too, as 'oras push' makes one.
list_artifact() {
  local blob
  mkdir -p "$work/artifact/blobs/sha256"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$work/artifact/oci-layout"
  put() { blob=sha256:$(sha256sum "$1" | cut -d ' ' -f 1); cp "$1" "$work/artifact/blobs/${blob/:/\/}"; size=$(stat -c %s "$1"); }
  put "$1"
  layer="{\"mediaType\":\"text/plain\",\"digest\":\"$blob\",\"size\":$size}"
  printf '{}' >"$work/empty"
  put "$work/empty"
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.layerctl.list","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"%s","size":2},"layers":[%s]}' "$blob" "$layer" >"$work/manifest"
  put "$work/manifest"
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"stable"}}]}' "$blob" "$size" >"$work/artifact/index.json"
}

cat >"$work/config.toml" <<TOML
version = 2
root = "$work/root"
state = "$work/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$work/c.sock"
[ttrpc]
  address = "$work/c.ttrpc"
TOML
/usr/bin/containerd --config "$work/config.toml" >"$work/engine.log" 2>&1 &
engine=$!
ctr() { /usr/bin/ctr -a "$work/c.sock" "$@"; }
for _ in $(seq 600); do
  [ ! -S "$work/c.sock" ] || ! ctr version >/dev/null 2>&1 || break
  sleep 0.1
done
# No grep -q: who stops reading early ends the writer by SIGPIPE.
listed() { ctr images ls -q | grep -xF "localhost:$port/$1" >/dev/null; }

export LAYERCTL_STORE=$work/store
sync() { "$layerctl" sync --quiet --platform linux/amd64 --plain-http "localhost:$port" --into "containerd=$work/c.sock" -f "$work/list" "$@"; }
state() { "$layerctl" status --json | jq -r --arg r "localhost:$port/$1" '[.images[] | select(.reference == $r) | .state] | join(",")'; }
is() { [ "$(state "$1")" = "$2" ] || { "$layerctl" status; fail "$1 is $(state "$1"), not $2"; }; }

say '-- six images into store and engine'
sed "s,^,localhost:$port/," >"$work/list" <<LIST
library/alpine:3.20
app:1
web:1 pin
db:1
tools:1
hello:1 linux/arm64
LIST
sync --report "$work/report.json" --metrics "$work/layerctl.prom"
jq -e '.exitCode == 0 and .succeeded != null and (.images | length == 6 and all(.[]; .state == "pulled" and .error == null and (.engines | length) == 1 and .manifest == .wanted and .verified != null and (([.hosts[].bytes] | add // 0) == .received)))' "$work/report.json" >/dev/null || { cat "$work/report.json"; fail 'the report of the first run is not right'; }
for image in library/alpine:3.20 app:1 web:1 db:1 tools:1; do
  listed "$image" || fail "containerd has no $image"
  # Not by what it prints, which ctr may not have read when the container ends.
  ctr run --rm --platform linux/amd64 "localhost:$port/$image" "sync-test-$$" grep -q '^3\.20\.' /etc/alpine-release || fail "$image does not run"
done

say '-- the second run: one HEAD an image'
/usr/bin/time -f '%U %S' -o "$work/cpu" "$layerctl" sync -v --platform linux/amd64 --plain-http "localhost:$port" --into "containerd=$work/c.sock" -f "$work/list" >/dev/null 2>"$work/err"
grep -qx 'layerctl: 6 requests' "$work/err" || { cat "$work/err"; fail 'the second run asks for more'; }
took=$("$layerctl" status --json | jq '(.ended[:19] + "Z" | fromdate) - (.began[:19] + "Z" | fromdate)')
awk '{exit !($1 + $2 < 1)}' "$work/cpu" || fail "the second run takes $(cat "$work/cpu") s of CPU"
say "6 requests, $took s by the clock, $(cat "$work/cpu") s of CPU"

say '-- a line removed, one moved, one of none, one for another platform, and a container'
ctr run -d --platform linux/amd64 "localhost:$port/db:1" "sync-db-$$" sleep 1000
sed "s,^,localhost:$port/," >"$work/list" <<LIST
library/alpine:3.20
app:2
web:1 pin
none:1
hello:1 linux/arm/v7
LIST
code=0
sync 2>"$work/err" || code=$?
[ "$code" = 3 ] || { cat "$work/err"; fail "the exit code is $code"; }
is library/alpine:3.20 present
is app:2 pulled
is app:1 dropped
is web:1 present
is none:1 failed
is tools:1 dropped
is db:1 kept
is hello:1 pulled,dropped
"$layerctl" status >"$work/out"
grep -q "used by sync-db-$$" "$work/out" || { cat "$work/out"; fail 'status does not say who uses an image'; }
for image in library/alpine:3.20 app:2 web:1 db:1; do listed "$image" || fail "containerd has no $image"; done
for image in app:1 tools:1; do ! listed "$image" || fail "containerd has $image still"; done
ctr task kill -s KILL "sync-db-$$"
for _ in $(seq 600); do ! ctr container rm "sync-db-$$" 2>/dev/null || break; sleep 0.1; done
sed -i '/none:1/d' "$work/list"
sync
is db:1 dropped
! listed db:1 || fail 'containerd has db:1 still'
"$layerctl" verify --quiet >/dev/null

say '-- the list from the registry'
list_artifact "$work/list"
skopeo copy -q --dest-tls-verify=false "oci:$work/artifact:stable" "docker://localhost:$port/fleet/list:stable"
"$layerctl" sync --quiet --platform linux/amd64 --plain-http "localhost:$port" --into "containerd=$work/c.sock" -f "docker://localhost:$port/fleet/list:stable"
[ "$("$layerctl" status --json | jq -r '[.images[].state] | unique | join(",")')" = present ] || { "$layerctl" status; fail 'the same list changes something'; }

say '-- killed at random'
kills=15
[ "${LAYERCTL_FULL:-}" != 1 ] || kills=100
for n in $(seq "$kills"); do
  # Two lists in turn; web:1 is in both.
  tag=$((n % 2 + 1))
  printf "localhost:$port/%s\n" web:1 "app:$tag" >"$work/list"
  [ $tag = 1 ] || echo "localhost:$port/tools:1" >>"$work/list"
  # The process itself, not a shell that waits for it: that would live on.
  "$layerctl" sync --quiet --platform linux/amd64 --plain-http "localhost:$port" --into "containerd=$work/c.sock" -f "$work/list" >"$work/err" 2>&1 &
  pid=$!
  sleep "0.$((RANDOM % 45 + 3))"
  kill -9 "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  listed web:1 || fail "after kill $n an image that the list names is gone"
  [ $((n % 5)) != 0 ] || {
    sync || fail "after kill $n the next run ends with $?"
    listed "app:$tag" || fail "after kill $n an image is not there"
    ! listed "app:$((3 - tag))" || fail "after kill $n an image is still there"
  }
done
sync
"$layerctl" verify --quiet >/dev/null
[ "$(ctr leases ls -q | wc -l)" = 0 ] || fail 'a lease is left'
[ "$("$layerctl" df --json | jq .left)" = 0 ] || fail 'something is left in the store'
say "$kills kills"

say '-- ten stores of a site, one of which serves'
# front: all that goes to the registry, counted and at most 20 MB a second.
cat >"$work/front.py" <<'PY'
import asyncio, sys, time
target, out = int(sys.argv[1]), sys.argv[2]
sent, due = 0, 0.0
async def copy(reader, writer, counted):
    global sent, due
    try:
        while data := await reader.read(65536):
            if counted:
                sent += len(data)
                due = max(due, time.monotonic()) + len(data) / 20e6
                await asyncio.sleep(max(0, due - time.monotonic()))
                open(out, "w").write(str(sent))
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()
async def serve(reader, writer):
    r, w = await asyncio.open_connection("127.0.0.1", target)
    await asyncio.gather(copy(reader, w, False), copy(r, writer, True))
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    open(out + ".port", "w").write(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()
asyncio.run(main())
PY
python3 "$work/front.py" "$port" "$work/sent" &
pipe=$!
until [ -s "$work/sent.port" ]; do sleep 0.1; done
front=localhost:$(cat "$work/sent.port")
sed "s,^,$front/," >"$work/list" <<LIST
library/alpine:3.20
app:2
web:1
LIST
node() { "$layerctl" sync --quiet --store "$work/node$1" --platform linux/amd64 --plain-http "$front" --hosts-dir "$work/certs" -f "$work/list" "${@:2}"; }
mkdir -p "$work/certs"
node 1 --keep-blobs
first=$(cat "$work/sent")
"$layerctl" serve --store "$work/node1" --listen 127.0.0.1:0 2>"$work/serve.log" &
server=$!
for _ in $(seq 600); do ! grep -q serving "$work/serve.log" || break; sleep 0.1; done
at=$(sed -n 's/.*serving at //p' "$work/serve.log")
mkdir "$work/certs/$front"
printf 'server = "http://%s"\n[host."%s"]\n  capabilities = ["pull", "resolve"]\n' "$front" "$at" >"$work/certs/$front/hosts.toml"
pids=()
for n in $(seq 2 10); do
  node "$n" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || fail 'a node fails'; done
all=$(cat "$work/sent")
got=0
for n in $(seq 2 10); do
  "$layerctl" verify --quiet --store "$work/node$n" >/dev/null
  got=$((got + $("$layerctl" status --store "$work/node$n" --json | jq .received)))
  "$layerctl" status --store "$work/node$n" --json | jq -e --arg h "${at#http://}" 'all(.images[]; .state == "pulled" and all(.hosts[]; .host == $h))' >/dev/null || fail "node $n has layers from elsewhere"
done
[ $((all - first)) -lt 100000 ] || fail "the registry has sent $((all - first)) bytes to the other nine"
kill "$server"
wait "$server" || fail "serve ends with $?"
server=
say "the registry sent $first bytes to one node, $((all - first)) to nine others, which got $got from the one"

say '-- memory'
root=/sys/fs/cgroup bytes=128000000
group=$root/memory/layerctl-sync-$$ limit=memory.limit_in_bytes
if [ -f "$root/cgroup.controllers" ]; then
  echo +memory >"$root/cgroup.subtree_control" 2>/dev/null || true
  group=$root/layerctl-sync-$$ limit=memory.max
fi
mkdir "$group"
echo "$bytes" >"$group/$limit"
# shellcheck disable=SC2016 # for the inner shell
bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' in "$group" /usr/bin/time -f %M -o "$work/peak" \
  "$layerctl" sync --quiet --store "$work/small" --max-memory 64M --platform linux/amd64 --plain-http "$front" -f "$work/list"
say "sync --max-memory 64M in a cgroup of 128 MB: $(($(cat "$work/peak") / 1024)) MiB at most"

say '-- the metrics'
mkdir "$work/lint"
cat >"$work/lint/main.go" <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func main() {
	problems, err := promlint.New(os.Stdin).Lint()
	fmt.Println(len(problems), "problems", problems, err)
	if err != nil || len(problems) > 0 {
		os.Exit(1)
	}
}
GO
(cd "$work/lint" && printf 'module lint\n\ngo 1.25\n' >go.mod && go get github.com/prometheus/client_golang@v1.23.2 >"$work/lint.log" 2>&1 && go mod tidy >>"$work/lint.log" 2>&1 && go build -o lint . ) || { cat "$work/lint.log"; fail 'cannot build what reads metrics'; }
"$work/lint/lint" <"$work/layerctl.prom" || { cat "$work/layerctl.prom"; fail 'promtool would not take the metrics'; }
say '-- done'
