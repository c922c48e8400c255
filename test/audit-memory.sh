#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every command on hostile images in cgroups of 48, 128 and 512 MB: none may
# be killed, hang, or end otherwise than well or with exit code 7, which says that
# a limit was reached. As root, where the memory controller is there.
#
#   test/audit-memory.sh LAYERCTL
#
#   SIZES="48 128 512"  the cgroups in MB
#   SECONDS_EACH=300    how long a command may take
#
# Prints the most resident memory (the program's own pages, some 20 MiB of file,
# among it), the seconds and the exit code of each, and then the table of
# docs/decoders.md: the most that any image made of each command.
set -euo pipefail
layerctl=$(realpath "$1")
work=$(mktemp -d) group='' server=''
# shellcheck disable=SC2317,SC2329 # the trap calls it
clean() {
  local mounted
  for mounted in "$work/mnt" "$work/bundle/rootfs"; do
    if mountpoint -q "$mounted"; then umount "$mounted"; fi
  done
  if [[ -n $server ]]; then kill "$server"; fi
  if [[ -n $group && -d $group ]]; then rmdir "$group" || true; fi
  rm -rf "$work" || true
}
trap clean EXIT

# Each image is as large as can be in one way:
#   paths      30,000 names of 2 KB: 60 MB of them
#   fit        3,000 names of 2 KB, which fit in a cgroup of 128 MB
#   implied    500 directories of 7 levels that no entry makes
#   manifest   annotations to 4 MiB
#   text       annotations to 1.9 MiB, which the least memory allows
#   config     8 MiB
#   labels     a config of 1.2 MiB of labels, which a bundle repeats
#   window     a layer of zeros behind a zstd window of 8 MiB
#   large      five layers at once, 16 MiB of noise each, from a registry
#
# The registry's challenge, token and list of repositories are as large as can
# be, too.
python3 - "$work" <<'END'
import gzip, hashlib, json, os, subprocess, sys, tarfile
work = sys.argv[1]
def header(name, size=0):
    t = tarfile.TarInfo(name); t.size = size; t.mtime = 1
    return t.tobuf(tarfile.GNU_FORMAT)
end = header("hello") + b"\0" * 1024
def image(name, *tars, media="gzip", annotations={}, author="", labels={}):
    blobs = work + "/" + name + "/blobs/sha256"
    os.makedirs(blobs)
    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        open(blobs + "/" + digest, "wb").write(data)
        return {"digest": "sha256:" + digest, "size": len(data)}
    def packed(tar):
        if media == "gzip":
            return gzip.compress(tar, 1, mtime=0)
        return subprocess.run(["zstd", "-q", "-c", "--long=23", "-3"], input=tar, stdout=subprocess.PIPE, check=True).stdout
    config = {"os": "linux", "architecture": "amd64", "author": author, "config": {"Cmd": ["/hello"], "Labels": labels},
              "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars]}}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(json.dumps(config).encode())},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+" + media, **blob(packed(tar))} for tar in tars], "annotations": annotations}
    top = {"mediaType": manifest["mediaType"], **blob(json.dumps(manifest).encode()), "platform": {"os": "linux", "architecture": "amd64"},
           "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    open(work + "/" + name + "/index.json", "w").write(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    open(work + "/" + name + "/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
deep = "/".join("%d" % level + "x" * 238 for level in range(7))
image("paths", b"".join(header("%s/%07d%s" % (deep, i, "n" * 230)) for i in range(30000)) + end)
image("fit", b"".join(header("%s/%07d%s" % (deep, i, "n" * 230)) for i in range(3000)) + end)
image("implied", b"".join(header("i%05d/a/b/c/d/e/f/g" % i) for i in range(500)) + end)
image("manifest", end, annotations={"k%05d" % i: "v" * 300 for i in range(12800)})
image("text", end, annotations={"k%05d" % i: "v" * 300 for i in range(6100)})
image("config", end, author="a" * ((8 << 20) - 500))
image("labels", end, labels={"k%05d" % i: "v" * 300 for i in range(3900)})
image("window", header("zeros", 32 << 20) + b"\0" * (32 << 20) + end, media="zstd")
image("large", *(header("noise%d" % i, 16 << 20) + os.urandom(16 << 20) + end for i in range(5)))
END

# The registry: one image of the layouts by each name, whatever the tag.
cat >"$work/registry.py" <<'END'
import http.server, json, os, re, sys
work = sys.argv[1]
class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def answer(self, data, kind="application/json", status=200, headers={}):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(data)
    def do_GET(self):
        path = self.path.split("?")[0]
        at = "http://127.0.0.1:%d" % self.server.server_port
        if path == "/token":
            return self.answer(json.dumps({"token": "t" * 8000, "rest": "r" * 240000}).encode())
        if "Authorization" not in self.headers:
            challenge = 'Bearer realm="%s/token",service="%s"' % (at, "s" * 7000)
            return self.answer(b"{}", status=401, headers={"WWW-Authenticate": challenge, "X-Large": "x" * 60000})
        if path == "/v2/_catalog":
            return self.answer(json.dumps({"repositories": ["r%d" % i for i in range(300000)]}).encode())
        named = re.fullmatch("/v2/([a-z]+)/(manifests|blobs)/(.*)", path)
        if not named:
            return self.answer(b"{}")
        layout, kind, name = work + "/" + named[1], "application/octet-stream", named[3]
        if named[2] == "manifests":
            top = json.load(open(layout + "/index.json"))["manifests"][0]
            name, kind = top["digest"], top["mediaType"]
        data = open(layout + "/blobs/" + name.replace(":", "/"), "rb").read()
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not part:
            return self.answer(data, kind)
        first, last = int(part[1]), min(int(part[2] or len(data)), len(data) - 1)
        self.answer(data[first:last + 1], kind, 206, {"Content-Range": "bytes %d-%d/%d" % (first, last, len(data))})
    do_HEAD = do_GET
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
open(work + "/port.new", "w").write(str(server.server_port))
os.rename(work + "/port.new", work + "/port")
server.serve_forever()
END
python3 "$work/registry.py" "$work" &
server=$!
until [[ -e $work/port ]]; do sleep 0.1; done
host=127.0.0.1:$(<"$work/port")

# The memory controller of version 2, or of version 1.
make_group() {
  local bytes=$1 root=/sys/fs/cgroup
  if [[ -f $root/cgroup.controllers ]]; then
    echo +memory >"$root/cgroup.subtree_control" 2>/dev/null || true
    group=$root/layerctl-audit-$$
    mkdir -p "$group"
    echo "$bytes" >"$group/memory.max"
    echo 0 >"$group/memory.swap.max" 2>/dev/null || true
  else
    group=$root/memory/layerctl-audit-$$
    mkdir -p "$group"
    echo "$bytes" >"$group/memory.limit_in_bytes"
  fi
}

failed=0
# measure MB IMAGE ARGUMENT...
measure() {
  local mb=$1 image=$2 code=0 peak seconds
  shift 2
  : >"$work/peak"
  # The shell joins the group, and what it becomes stays in it.
  bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' measure "$group" \
    timeout -k 5 "${SECONDS_EACH:-300}" /usr/bin/time -q -f '%M %e' -o "$work/peak" \
    "$layerctl" --store "$work/store" --platform linux/amd64 --authfile "$work/auth.json" --quiet "$@" \
    <<<password >/dev/null 2>"$work/stderr" || code=$?
  read -r peak seconds < <(tail -n 1 "$work/peak"; echo) || true
  printf '%4s MB  %-9s %-24s %4s MiB %7s s  exit %s\n' "$mb" "$image" "$(shown "$@")" \
    "$((${peak:-0} / 1024))" "${seconds:-?}" "$code"
  echo "$mb $1 $((${peak:-0} / 1024)) $image $code" >>"$work/table"
  if [[ $code -ne 0 && $code -ne 7 ]]; then
    cat "$work/stderr"
    failed=1
  fi
}

# shown is the arguments without the names of files.
shown() {
  local word words=()
  for word; do
    case $word in *"$work"* | *"$host"*) ;; *) words+=("$word") ;; esac
  done
  echo "${words[*]}"
}

# stored runs what works on the store.
stored() {
  local ref=$1
  measure "$mb" "$image" inspect --stored "$ref"
  measure "$mb" "$image" mount --print "$ref"
  measure "$mb" "$image" mount "$ref" "$work/mnt"
  if mountpoint -q "$work/mnt"; then
    measure "$mb" "$image" mounts
    measure "$mb" "$image" umount "$work/mnt"
  fi
  rm -rf "$work/bundle"
  measure "$mb" "$image" bundle "${global[@]}" "$ref" "$work/bundle"
  if mountpoint -q "$work/bundle/rootfs"; then
    measure "$mb" "$image" umount "$work/bundle/rootfs"
  fi
  measure "$mb" "$image" images --json
  measure "$mb" "$image" df
  measure "$mb" "$image" verify
  measure "$mb" "$image" rm "$ref"
  measure "$mb" "$image" prune
}

mkdir "$work/mnt"
for mb in ${SIZES:-48 128 512}; do
  make_group $((mb * 1000000))
  global=(--plain-http "$host")
  measure "$mb" registry login "${global[@]}" -u user --password-stdin "$host"
  measure "$mb" registry ping "${global[@]}" "$host"
  measure "$mb" manifest ping "${global[@]}" "$host/manifest:latest"
  for image in manifest text config labels paths fit implied window large; do
    ref=oci:$work/$image global=()
    if [[ $image == large ]]; then
      ref=$host/large:latest global=(--plain-http "$host" --ranges 4)
    fi
    case $image in
      manifest | text | config | labels)
        measure "$mb" "$image" inspect "$ref"
        measure "$mb" "$image" inspect --json "$ref"
        measure "$mb" "$image" inspect --configs "$ref"
        measure "$mb" "$image" platforms "$ref"
        measure "$mb" "$image" resolve --explain "$ref"
        measure "$mb" "$image" pull --dry-run "$ref"
        measure "$mb" "$image" export --as oci-archive -o "$work/archive.tar" "$ref"
        ;;
      *)
        measure "$mb" "$image" ls "${global[@]}" -R "$ref"
        measure "$mb" "$image" cat "${global[@]}" "$ref:/hello"
        ;;
    esac
    # Thousands of files are the disk's to be slow at, not the memory's.
    if [[ $image == paths || $image == fit ]]; then continue; fi
    # Each of these writes 80 MB of it: once is enough.
    if [[ $image != large || $mb == 128 ]]; then
      measure "$mb" "$image" unpack "${global[@]}" "$ref" "$work/tree"
      measure "$mb" "$image" export "${global[@]}" -o "$work/flat.tar" "$ref"
    fi
    measure "$mb" "$image" pull "${global[@]}" "$ref"
    if "$layerctl" --store "$work/store" --quiet images --format '{{.manifest}}' 2>/dev/null | grep . >/dev/null; then
      stored "$ref"
    fi
    rm -rf "$work/store" "$work/tree"
  done
  measure "$mb" registry logout "$host"
  rmdir "$group"
done

# The most of each command, with the image that made it so much.
awk '
  { cell = $2 SUBSEP $1 }
  !($2 in known) { known[$2]; names[++count] = $2 }
  !($1 in sizes) { sizes[$1]; order[++columns] = $1 }
  !(cell in most) || $3 > most[cell] { most[cell] = $3; text[cell] = $3 " MiB (" $4 ($5 ? ", exit " $5 : "") ")" }
  END {
    line = "| command |"; rule = "|---|"
    for (c = 1; c <= columns; c++) { line = line " " order[c] " MB |"; rule = rule "---|" }
    print line; print rule
    for (n = 1; n <= count; n++) {
      line = "| `" names[n] "` |"
      for (c = 1; c <= columns; c++) line = line " " text[names[n] SUBSEP order[c]] " |"
      print line
    }
  }' "$work/table"
exit $failed
