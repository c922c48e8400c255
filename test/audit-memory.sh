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
#   SECONDS_EACH=60     how long a command may take
#
# Prints the most resident memory (the program's own pages, some 20 MiB of file,
# among it), the seconds and the exit code of each.
set -euo pipefail
layerctl=$(realpath "$1")
work=$(mktemp -d) group=''
# shellcheck disable=SC2317,SC2329 # the trap calls it
clean() {
  if [[ -n $group && -d $group ]]; then rmdir "$group" || true; fi
  rm -rf "$work"
}
trap clean EXIT

# Each image is as large as can be in one way:
#   paths      30,000 names of 2 KB: 60 MB of them
#   fit        3,000 names of 2 KB, which fit in a cgroup of 128 MB
#   implied    500 directories of 7 levels that no entry makes
#   manifest   annotations to 4 MiB
#   text       annotations to 1.9 MiB, which the least memory allows
#   config     8 MiB
#   window     a layer of zeros behind a zstd window of 8 MiB
python3 - "$work" <<'END'
import gzip, hashlib, json, os, subprocess, sys, tarfile
work = sys.argv[1]
def header(name, size=0):
    t = tarfile.TarInfo(name); t.size = size; t.mtime = 1
    return t.tobuf(tarfile.GNU_FORMAT)
end = header("hello") + b"\0" * 1024
def image(name, tar, media="gzip", annotations={}, author=""):
    blobs = work + "/" + name + "/blobs/sha256"
    os.makedirs(blobs)
    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        open(blobs + "/" + digest, "wb").write(data)
        return {"digest": "sha256:" + digest, "size": len(data)}
    if media == "gzip":
        data = gzip.compress(tar, 1, mtime=0)
    else:
        data = subprocess.run(["zstd", "-q", "-c", "--long=23", "-3"], input=tar, stdout=subprocess.PIPE, check=True).stdout
    config = {"os": "linux", "architecture": "amd64", "author": author,
              "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]}}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(json.dumps(config).encode())},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+" + media, **blob(data)}], "annotations": annotations}
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
image("window", header("zeros", 32 << 20) + b"\0" * (32 << 20) + end, "zstd")
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
# measure MB IMAGE ARGUMENT...
measure() {
  local mb=$1 image=$2 code=0 peak seconds
  shift 2
  : >"$work/peak"
  # The shell joins the group, and what it becomes stays in it.
  bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' measure "$group" \
    timeout -k 5 "${SECONDS_EACH:-60}" /usr/bin/time -q -f '%M %e' -o "$work/peak" \
    "$layerctl" --store "$work/store" --platform linux/amd64 --quiet "$@" >/dev/null 2>"$work/stderr" || code=$?
  read -r peak seconds < <(tail -n 1 "$work/peak"; echo) || true
  printf '%4s MB  %-9s %-24s %4s MiB %7s s  exit %s\n' "$mb" "$image" "$(shown "$@")" \
    "$((${peak:-0} / 1024))" "${seconds:-?}" "$code"
  if [[ $code -ne 0 && $code -ne 7 ]]; then
    cat "$work/stderr"
    failed=1
  fi
}

# shown is the arguments without the names of files.
shown() {
  local word words=()
  for word; do
    case $word in *"$work"*) ;; *) words+=("$word") ;; esac
  done
  echo "${words[*]}"
}

for mb in ${SIZES:-48 128 512}; do
  make_group $((mb * 1000000))
  for image in manifest text config paths fit implied window; do
    ref=oci:$work/$image
    case $image in
      manifest | text | config)
        measure "$mb" "$image" inspect "$ref"
        measure "$mb" "$image" inspect --json "$ref"
        measure "$mb" "$image" inspect --configs "$ref"
        measure "$mb" "$image" platforms "$ref"
        measure "$mb" "$image" resolve --explain "$ref"
        measure "$mb" "$image" pull --dry-run "$ref"
        measure "$mb" "$image" export --as oci-archive -o "$work/archive.tar" "$ref"
        ;;
      *)
        measure "$mb" "$image" ls -R "$ref"
        measure "$mb" "$image" cat "$ref:/hello"
        ;;
    esac
    # Thousands of files are the disk's to be slow at, not the memory's.
    if [[ $image == paths || $image == fit ]]; then continue; fi
    measure "$mb" "$image" unpack "$ref" "$work/tree"
    measure "$mb" "$image" export -o "$work/flat.tar" "$ref"
    measure "$mb" "$image" pull "$ref"
    if "$layerctl" --store "$work/store" --quiet images --format '{{.manifest}}' 2>/dev/null | grep -q .; then
      measure "$mb" "$image" inspect --stored "$ref"
      measure "$mb" "$image" mount --print "$ref"
      measure "$mb" "$image" images --json
      measure "$mb" "$image" df
      measure "$mb" "$image" verify
      measure "$mb" "$image" rm "$ref"
      measure "$mb" "$image" prune
    fi
    rm -rf "$work/store" "$work/tree"
  done
  rmdir "$group"
done
exit $failed
