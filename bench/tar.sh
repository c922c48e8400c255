#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the two forms of a store cost on a slow device, and what reading costs
# once an image is mounted. Pulls, synced, onto a loop device that the blkio
# controller holds to BYTES and WRITES a second, as an SD card; then reads all
# files and goes through all names of a mounted image, cold and warm, on the
# device as it is. The image "usr" is files of /usr in six layers, "small" those
# of them below 8 KiB. Prints two tables: six minutes at most on a quiet machine.
#
#   bench/tar.sh LAYERCTL
#
# The environment says what: ROUNDS (2), BYTES (20000000), WRITES (500),
# CORPUS_MB (240), SMALL_MB (40), DISK_MB (3072), MKFS ("mkfs.ext4 -q -F -E
# lazy_itable_init=0,lazy_journal_init=0"). It needs jq, pigz, python3.
set -euo pipefail
[[ $# -eq 1 && $EUID -eq 0 ]] || { echo "usage, as root: bench/tar.sh LAYERCTL" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ -n ${TAR_APART-} ]] || TAR_APART=1 exec unshare --mount --propagation private "$here/tar.sh" "$@"
# shellcheck source=bench/images.sh
. "$here/images.sh"
layerctl=$(realpath "$1")
ROUNDS=${ROUNDS:-2}
CORPUS_MB=${CORPUS_MB:-240}
SMALL_MB=${SMALL_MB:-40}
BENCH_DIR=$(mktemp -d)
export LAYERCTL_PLATFORM=linux/amd64 LAYERCTL_STORE=$BENCH_DIR/mnt/store
loop='' group='' limits=()

clean() {
	cd /
	slow 0 0 || true
	umount -q "$BENCH_DIR/image" || true
	umount -q "$BENCH_DIR/mnt" || true
	[[ -z $loop ]] || losetup -d "$loop"
	[[ -z $group ]] || { echo $$ >"${group%/*}/cgroup.procs" && rmdir "$group"; }
	rm -rf "$BENCH_DIR"
}
trap clean EXIT

# find_controller finds who can slow the device down. The first version of the
# controller limits what the kernel writes back in its root alone; the second in
# a group alone.
find_controller() {
	local v1=/sys/fs/cgroup/blkio v2=/sys/fs/cgroup
	if [[ -e $v1/blkio.throttle.write_bps_device ]]; then
		echo $$ >$v1/cgroup.procs
		limits=("$v1/blkio.throttle.write_bps_device" "$v1/blkio.throttle.write_iops_device")
	elif grep -qw io $v2/cgroup.controllers 2>/dev/null; then
		echo +io +memory >$v2/cgroup.subtree_control
		group=$v2/layerctl-bench-$$
		mkdir "$group"
		echo $$ >"$group/cgroup.procs"
	else
		echo "bench/tar.sh: no blkio controller, which needs CONFIG_BLK_DEV_THROTTLING" >&2
		exit 1
	fi
}

# slow holds the device to so many bytes and writes a second; 0 frees it.
slow() {
	local device
	[[ -n $loop ]] || return 0
	device=$(lsblk -ndo MAJ:MIN "$loop" | tr -d ' ')
	if [[ -n $group ]]; then
		[[ $1 -ne 0 ]] || set -- max max
		echo "$device wbps=$1 wiops=$2" >"$group/io.max"
	else
		echo "$device $1" >"${limits[0]}"
		echo "$device $2" >"${limits[1]}"
	fi
}

fresh_filesystem() {
	${MKFS:-mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0} "$loop"
	mount "$loop" "$BENCH_DIR/mnt"
	sync -f "$BENCH_DIR/mnt"
}

requests() { awk '{ print $5, $7 / 2048 }' "/sys/block/${loop#/dev/}/stat"; }

# seconds COMMAND… appends to the file $row what it took.
seconds() {
	local begin end
	begin=$(date +%s%N)
	"$@" >/dev/null
	end=$(date +%s%N)
	awk -v n=$((end - begin)) 'BEGIN { printf "%.3f\n", n / 1e9 }' >>"$row"
}

# pull pulls once onto the slow device: seconds, requests, MiB.
pull() {
	local image=$1 form=$2 before
	row=$BENCH_DIR/$image.$form
	fresh_filesystem
	before=$(requests)
	slow "${BYTES:-20000000}" "${WRITES:-500}"
	seconds "$layerctl" pull --quiet --lower "$form" "oci:$BENCH_DIR/images/$image:bench"
	slow 0 0
	sync -f "$BENCH_DIR/mnt"
	echo "$before $(requests)" | awk '{ print $3 - $1; print $4 - $2 }' >>"$row.device"
	umount "$BENCH_DIR/mnt"
}

read_all() { find "$BENCH_DIR/image" -type f -print0 | xargs -0 cat; }
names() { find "$BENCH_DIR/image"; }

# reading goes through a mounted image, cold and warm, and counts what the page
# cache keeps of it then, of the store's own files too.
reading() {
	local i
	sync -f "$BENCH_DIR/mnt"
	echo 3 >/proc/sys/vm/drop_caches
	for i in cold warm; do
		row=$BENCH_DIR/names.$i.$1
		seconds names
	done
	for i in cold warm; do
		row=$BENCH_DIR/read.$i.$1
		seconds read_all
	done
	# What an overlay shows are pages of the store's files.
	{ find "$LAYERCTL_STORE" -type f -print0; [[ $1 == dir ]] || find "$BENCH_DIR/image" -type f -print0; } |
		xargs -0 fincore -b -n -o RES | awk '{ s += $1 } END { print s / 1048576 }' >>"$BENCH_DIR/cached.$1"
}

# read_back mounts the image and reads it, tars once more with directio.
read_back() {
	local form=$1 image=oci:$BENCH_DIR/images/usr:bench
	fresh_filesystem
	"$layerctl" pull --quiet --lower "$form" "$image" >/dev/null
	"$layerctl" mount "$image" "$BENCH_DIR/image" >/dev/null
	reading "$form"
	"$layerctl" umount "$BENCH_DIR/image" >/dev/null
	if [[ $form == tar ]]; then
		"$layerctl" mount --option directio "$image" "$BENCH_DIR/image" >/dev/null
		reading directio
		"$layerctl" umount "$BENCH_DIR/image" >/dev/null
	fi
	umount "$BENCH_DIR/mnt"
}

# build_images writes the two layouts.
build_images() {
	mkdir -p "$BENCH_DIR/images"
	CORPUS_MB=100000 corpus >"$BENCH_DIR/all"
	awk -F'\t' -v max="$((CORPUS_MB * 1000000))" '{ s += $1 } s <= max' "$BENCH_DIR/all" >"$BENCH_DIR/corpus"
	split_corpus 6 "$((CORPUS_MB * 1000000))" "$BENCH_DIR/lists"
	write_layout "$BENCH_DIR/images/usr" pigz
	awk -F'\t' -v max="$((SMALL_MB * 1000000))" '$1 < 8192 { s += $1 } $1 < 8192 && s <= max' "$BENCH_DIR/all" >"$BENCH_DIR/corpus"
	split_corpus 6 "$((SMALL_MB * 1000000))" "$BENCH_DIR/lists"
	write_layout "$BENCH_DIR/images/small" pigz
}

# median of the n-th of each m lines of a file.
median() {
	awk -v n="${2:-1}" -v m="${3:-1}" 'NR % m == n % m' "$BENCH_DIR/$1" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}

# line prints a row of figures, and the later ones as ratios to the first.
line() {
	local what=$1
	shift
	printf '| %s ' "$what"
	printf '%s\n' "$@" | awk '{ printf "| %.2f", $1 } NR == 1 { first = $1 } NR > 1 { printf " (%.2f)", (first > 0 ? $1 / first : 0) } END { print " |" }'
}

main() {
	local round image form what i
	find_controller
	build_images
	mkdir "$BENCH_DIR/mnt" "$BENCH_DIR/image"
	# Written once, or who is measured first would pay for the host's making room.
	dd if=/dev/zero of="$BENCH_DIR/disk" bs=1M count="${DISK_MB:-3072}" conv=fsync status=none
	loop=$(losetup --show --find --direct-io=on "$BENCH_DIR/disk")
	for ((round = 0; round < ROUNDS; round++)); do
		for image in usr small; do
			for form in dir tar; do pull "$image" "$form"; done
		done
		for form in dir tar; do read_back "$form"; done
	done
	echo "$(date -u +%F), $(nproc) cores, load average $(cut -d' ' -f1-3 /proc/loadavg), medians of $ROUNDS; ${BYTES:-20000000} bytes and ${WRITES:-500} writes a second"
	printf '\n| pull onto the slow device | dir | tar |\n|---|---|---|\n'
	for image in usr small; do
		line "$image, seconds" "$(median $image.dir)" "$(median $image.tar)"
		line "$image, requests" "$(median $image.dir.device 1 2)" "$(median $image.tar.device 1 2)"
		line "$image, MiB written" "$(median $image.dir.device 2 2)" "$(median $image.tar.device 2 2)"
	done
	printf '\n| "usr", mounted | dir | tar | tar, directio |\n|---|---|---|---|\n'
	for what in names read; do
		for i in cold warm; do
			line "$what, $i, seconds" "$(median $what.$i.dir)" "$(median $what.$i.tar)" "$(median $what.$i.directio)"
		done
	done
	line "cached then, MiB" "$(median cached.dir)" "$(median cached.tar)" "$(median cached.directio)"
}

main
