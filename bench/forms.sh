#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the two forms of a store cost once an image is there: mount and umount of
# 1, 100 and 500 layers, verify, rm and prune of an image of many files. Prints a
# table of milliseconds, the median of ROUNDS; "start" is a command that does
# nothing, and is part of every row. Four minutes at most on a quiet machine.
#
#   bench/forms.sh LAYERCTL     ROUNDS=7, FILES=20000, MKFS="mkfs.ext4 -q -F"
set -euo pipefail
[[ $# -eq 1 && $EUID -eq 0 ]] || { echo "usage, as root: bench/forms.sh LAYERCTL" >&2; exit 2; }
[[ -n ${FORMS_APART-} ]] || FORMS_APART=1 exec unshare --mount "$0" "$@"
layerctl=$(realpath "$1")
export LAYERCTL_PLATFORM=linux/amd64
work=$(mktemp -d)
loop=''
clean() {
	cd /
	umount -q "$work/image" || true
	umount -q "$work/mnt" || true
	[[ -z $loop ]] || losetup -d "$loop"
	rm -rf "$work"
}
trap clean EXIT
mkdir "$work/mnt" "$work/image"

# layouts: images of so many layers with so many files each.
python3 - "$work" "1 10" "100 10" "500 10" "2 $((${FILES:-20000} / 2))" <<'PYTHON'
import hashlib, io, json, os, sys, tarfile
top = sys.argv[1]
def image(layers, files):
    out = os.path.join(top, f"{layers}x{files}")
    blobs = os.path.join(out, "blobs/sha256")
    os.makedirs(blobs)
    def put(data, kind):
        name = hashlib.sha256(data).hexdigest()
        with open(os.path.join(blobs, name), "wb") as f: f.write(data)
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + name, "size": len(data)}
    made = []
    for l in range(layers):
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as t:
            for f in range(files):
                e = tarfile.TarInfo(f"d{l % 10}/{f % 50}/layer-{l}-{f}")
                data = f"{l} {f} ".encode() * 200
                e.size = len(data)
                t.addfile(e, io.BytesIO(data))
        made.append(put(tar.getvalue(), "layer.v1.tar"))
    config = put(json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [l["digest"] for l in made]}}).encode(), "config.v1+json")
    manifest = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": made}).encode(), "manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    with open(os.path.join(out, "index.json"), "w") as f: json.dump({"schemaVersion": 2, "manifests": [manifest]}, f)
    with open(os.path.join(out, "oci-layout"), "w") as f: f.write('{"imageLayoutVersion":"1.0.0"}')
    os.rename(out, os.path.join(top, {1: "one", 100: "hundred", 500: "five-hundred"}.get(layers, "files")))
for spec in sys.argv[2:]: image(*map(int, spec.split()))
PYTHON

truncate -s 4G "$work/disk"
loop=$(losetup --show --find "$work/disk")

# timed WHAT COMMAND… appends the command's milliseconds to a file.
timed() {
	local what=$1 begin end
	shift
	begin=$(date +%s%N)
	"$@" >/dev/null 2>"$work/said" || { cat "$work/said" >&2; exit 1; }
	end=$(date +%s%N)
	echo $(((end - begin) / 1000)) >>"$work/$form.$what"
}

for form in dir tar; do
	${MKFS:-mkfs.ext4 -q -F} "$loop"
	mount "$loop" "$work/mnt"
	export LAYERCTL_STORE=$work/mnt/store
	for image in one hundred files; do
		timed "pull-$image" "$layerctl" pull --quiet --lower $form "oci:$work/$image:latest"
	done
	# One less for directories, where it needs a fix layer: the kernel takes 500.
	"$layerctl" pull --quiet "oci:$work/five-hundred:latest" >/dev/null 2>"$work/refused" || cat "$work/refused" >&2
	for ((i = 0; i < ${ROUNDS:-7}; i++)); do
		timed start "$layerctl" version
		for image in one hundred five-hundred; do
			"$layerctl" images | grep -q "/$image" || continue
			timed "mount-$image" "$layerctl" mount "oci:$work/$image:latest" "$work/image"
			timed "umount-$image" "$layerctl" umount "$work/image"
		done
		timed verify "$layerctl" verify "oci:$work/files:latest"
	done
	for ((i = 0; i < 3; i++)); do
		timed rm "$layerctl" rm "oci:$work/files:latest"
		timed prune "$layerctl" prune
		timed sync sync -f "$work/mnt"
		timed pull-files "$layerctl" pull --quiet "oci:$work/files:latest"
	done
	umount "$work/mnt"
done

median() {
	[[ -s $work/$1 ]] || { echo -; return; }
	sort -n "$work/$1" | awk '{ all[NR] = $1 } END { printf "%.1f", all[int((NR + 1) / 2)] / 1000 }'
}
printf '| milliseconds | dir | tar |\n|---|---|---|\n'
for what in start mount-one mount-hundred mount-five-hundred umount-one umount-hundred umount-five-hundred verify rm prune sync pull-files; do
	printf '| %s | %s | %s |\n' "$what" "$(median dir.$what)" "$(median tar.$what)"
done
