#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every command on a hostile image in cgroups of 48, 128 and 512 MB: none may
# be killed in one of 128 MB and more; that of 48 MB shows what the default of
# --max-memory is worth there. As root.
#
#   test/audit-memory.sh LAYERCTL [ENTRIES]     ENTRIES tar entries (default 100000)
#
# Prints exit code and peak resident memory in MiB of each, the program's own
# 15 MiB, which the kernel shares, among them. A command may refuse
# the image with exit code 7, which says that a limit was reached.
set -euo pipefail
layerctl=$(realpath "$1") entries=${2:-100000}
work=$(mktemp -d) group=''
# shellcheck disable=SC2317 # the trap calls it
clean() {
  if [[ -n $group && -d $group ]]; then rmdir "$group" || true; fi
  rm -rf "$work"
}
trap clean EXIT

# One layer of many long names, implied directories among them; one of zeros
# behind a window of 8 MiB; annotations of 3 MiB.
python3 - "$work" "$entries" <<'END'
import gzip, hashlib, json, os, subprocess, sys, tarfile, io
work, entries = sys.argv[1], int(sys.argv[2])
blobs = work + "/image/blobs/sha256"
os.makedirs(blobs)
def blob(data):
    name = hashlib.sha256(data).hexdigest()
    open(blobs + "/" + name, "wb").write(data)
    return {"digest": "sha256:" + name, "size": len(data)}
def header(name, size=0):
    t = tarfile.TarInfo(name); t.size = size; t.mtime = 1
    return t.tobuf(tarfile.GNU_FORMAT)
end = b"\0" * 1024
names = b"".join(header("d%04d/implied-%s/%07d-%s" % (i % 997, "x" * 20, i, "n" * 30)) for i in range(entries)) + header("hello", 0) + end
zeros = header("zeros", 256 << 20) + b"\0" * (256 << 20) + end
layers = []
diffs = []
for media, tar, data in (
    ("gzip", names, gzip.compress(names, 1, mtime=0)),
    ("zstd", zeros, subprocess.run(["zstd", "-q", "-c", "--long=23", "-3"], input=zeros, stdout=subprocess.PIPE, check=True).stdout),
):
    layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+" + media, **blob(data)})
    diffs.append("sha256:" + hashlib.sha256(tar).hexdigest())
config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diffs}}
manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(json.dumps(config).encode())},
            "layers": layers, "annotations": {"k%05d" % i: "v" * 90 for i in range(30000)}}
top = {"mediaType": manifest["mediaType"], **blob(json.dumps(manifest).encode()), "platform": {"os": "linux", "architecture": "amd64"},
       "annotations": {"org.opencontainers.image.ref.name": "latest"}}
open(work + "/image/index.json", "w").write(json.dumps({"schemaVersion": 2, "manifests": [top]}))
open(work + "/image/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
END

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
measure() {
  local mb=$1 code=0 peak
  shift
  # The shell joins the group, and what it becomes stays in it.
  bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec /usr/bin/time -q -f %M -o "$@"' measure \
    "$group" "$work/peak" "$layerctl" --store "$work/store" --platform linux/amd64 --quiet "$@" >/dev/null 2>"$work/stderr" || code=$?
  peak=$(tail -n 1 "$work/peak")
  printf '%5s MB  exit %-3s %5d MiB  %s\n' "$mb" "$code" $((peak / 1024)) "${*//$work/.}"
  if [[ $code -ne 0 && $code -ne 7 ]]; then
    cat "$work/stderr"
    if [[ $mb -ge 128 ]]; then failed=1; fi
  fi
}

ref=oci:$work/image
for mb in ${SIZES:-48 128 512}; do
  make_group $((mb * 1000000))
  rm -rf "$work/store" "$work/tree"
  measure "$mb" inspect "$ref"
  measure "$mb" inspect --json "$ref"
  measure "$mb" inspect --configs "$ref"
  measure "$mb" platforms "$ref"
  measure "$mb" resolve --explain "$ref"
  measure "$mb" pull --dry-run "$ref"
  measure "$mb" ls -R "$ref"
  measure "$mb" cat "$ref:/hello"
  measure "$mb" unpack "$ref" "$work/tree"
  measure "$mb" export -o "$work/flat.tar" "$ref"
  measure "$mb" export --as oci-archive -o "$work/archive.tar" "$ref"
  measure "$mb" pull "$ref"
  if "$layerctl" --store "$work/store" --quiet images --format '{{.manifest}}' | grep -q .; then
    measure "$mb" ls -R "$ref"
    measure "$mb" cat "$ref:/hello"
    measure "$mb" inspect --stored "$ref"
    measure "$mb" mount --print "$ref"
    measure "$mb" images --json
    measure "$mb" df
    measure "$mb" verify
    measure "$mb" export -o "$work/flat.tar" "$ref"
    measure "$mb" rm "$ref"
    measure "$mb" prune
  fi
  rmdir "$group"
done
exit $failed
