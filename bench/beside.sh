#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compares what a pull costs with two builds of layerctl, in turn, each on a fresh
# filesystem: how much the second takes of the first's time, processor and bytes
# written to the disk.
#
#   bench/beside.sh OLD NEW REF [ARGUMENT…]     ROUNDS=5, MKFS="mkfs.ext4 -q -F"
set -euo pipefail
[[ $# -ge 3 && $EUID -eq 0 ]] || { echo "usage, as root: bench/beside.sh OLD NEW REF [ARGUMENT…]" >&2; exit 2; }
# Apart from others, who could keep the mounts busy.
[[ -n ${BESIDE_APART-} ]] || BESIDE_APART=1 exec unshare --mount "$0" "$@"
old=$1 new=$2
shift 2
work=$(mktemp -d)
loop=''
clean() {
	mountpoint -q "$work/mnt" && umount "$work/mnt"
	[[ -z $loop ]] || losetup -d "$loop"
	rm -rf "$work"
}
trap clean EXIT
mkdir "$work/mnt"
truncate -s 8G "$work/disk"
loop=$(losetup --show --find "$work/disk")

# written is what the device was told to write so far, in bytes.
written() { echo $(($(awk '{ print $7 }' "/sys/block/${loop#/dev/}/stat") * 512)); }

# one pulls once and prints seconds, processor seconds and bytes.
one() {
	${MKFS:-mkfs.ext4 -q -F} "$loop" >&2
	mount "$loop" "$work/mnt"
	sync -f "$work/mnt"
	local before
	before=$(written)
	TIMEFORMAT='%R %U %S'
	{ time "$1" pull --quiet --store "$work/mnt/store" "${@:2}" >/dev/null; } 2>"$work/time"
	sync -f "$work/mnt"
	awk -v bytes=$(($(written) - before)) '{ print $1, $2 + $3, bytes }' "$work/time"
	umount "$work/mnt"
}

for ((i = 0; i < ${ROUNDS:-5}; i++)); do
	one "$old" "$@" >>"$work/old"
	one "$new" "$@" >>"$work/new"
done
# The median of each column, and the ratio of the two.
median() { cut -d ' ' -f "$2" "$work/$1" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
column=0
for what in seconds processor bytes; do
	column=$((column + 1))
	awk -v what=$what -v a="$(median old $column)" -v b="$(median new $column)" 'BEGIN { printf "%-10s %14.2f %14.2f %8.3f\n", what, a, b, b / a }'
done
