# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# shellcheck disable=SC2154 # bench/run sets the variables
#
# How each tool brings an image to $target. Each function prints, with tabs
# between: seconds of wall time, seconds of CPU time, MiB resident at most, MiB
# written. Of several processes at once the largest counts for memory.

timed() {
	/usr/bin/time -o "$BENCH_DIR/time" -f '%e %U %S %M %O' "$@" >&2 || return
	awk '{ printf "%.2f\t%.2f\t%.1f\t%.1f", $1, $2 + $3, $4 / 1024, $5 / 2048 }' "$BENCH_DIR/time"
}

tool_layerctl() { layerctl_pull "$1"; }

tool_layerctl_no_sync() { layerctl_pull "$1" --no-sync; }

tool_layerctl_tar() { layerctl_pull "$1" --lower tar; }

tool_layerctl_tar_no_sync() { layerctl_pull "$1" --lower tar --no-sync; }

layerctl_pull() {
	local image=$1
	shift
	timed "$BENCH_DIR/layerctl" --quiet --plain-http "$REGISTRY" --store "$target/store" pull "$@" "$REGISTRY/$image"
}

tool_skopeo() {
	TMPDIR=$target timed skopeo copy -q --src-tls-verify=false "docker://$REGISTRY/$1" \
		"containers-storage:[overlay@$target/root+$target/run]bench:latest"
}

tool_crane() {
	mkdir "$target/rootfs"
	# shellcheck disable=SC2016 # for the inner shell
	timed bash -c 'set -o pipefail; "$1" export "$2" - | tar -x -C "$3"' bash "$BENCH_BIN/crane" "$REGISTRY/$1" "$target/rootfs"
}

# The bare pipeline verifies nothing and syncs nothing.
tool_floor() {
	local repository=${1%:*} unpack='igzip -d -T1'
	[[ $1 == *:zstd ]] && unpack='zstd -q -d'
	curl -sS -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$REGISTRY/v2/$repository/manifests/${1#*:}" |
		jq -r '.layers[].digest' >"$BENCH_DIR/blobs"
	# shellcheck disable=SC2016 # for the inner shell
	timed xargs -P 4 -a "$BENCH_DIR/blobs" -I{} bash -c \
		'set -o pipefail; mkdir "$1/$3" && curl -sS "$2/$3" | $4 | tar -x -C "$1/$3"' \
		bash "$target" "http://$REGISTRY/v2/$repository/blobs" {} "$unpack"
}

tool_containerd_tuned() { containerd_pull "$1" 4; }

tool_containerd_plain() { CONTAINERD_DISABLE_IGZIP=1 CONTAINERD_DISABLE_PIGZ=1 containerd_pull "$1" 1; }

# containerd_pull adds what the daemon takes to what ctr does. The daemon's
# start is not measured.
containerd_pull() {
	local run=$target/containerd pid before after status=0
	mkdir -p "$run"
	cat >"$run/config.toml" <<-END
		version = 3
		root = "$run/root"
		state = "$run/state"
		disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]
		[grpc]
		address = "$run/sock"
		# Its socket has one path for all containerds of a machine.
		[plugins."io.containerd.nri.v1.nri"]
		disable = true
		[plugins."io.containerd.transfer.v1.local"]
		max_concurrent_unpacks = $2
	END
	"$BENCH_BIN/containerd" -c "$run/config.toml" -l error >&2 &
	pid=$!
	until "$BENCH_BIN/ctr" -a "$run/sock" version >/dev/null 2>&1; do
		kill -0 "$pid" || return
		sleep 0.1
	done
	before=$(usage "$pid")
	timed "$BENCH_BIN/ctr" -a "$run/sock" images pull --plain-http "$REGISTRY/$1" >"$run/ctr" || status=$?
	after=$(usage "$pid")
	[[ $status -ne 0 ]] || paste -d' ' <(echo "$before") <(echo "$after") "$run/ctr" |
		awk -v hz="$(getconf CLK_TCK)" '{ printf "%s\t%.2f\t%.1f\t%.1f", $7, ($4 - $1) / hz + $8, $6 / 1024, ($5 - $2) / 1048576 + $10 }'
	kill "$pid"
	wait "$pid" || true
	return $status
}

tool_layerctl_into() { cri_pull "$1" 3 into; }

tool_crictl_tuned() { cri_pull "$1" 4 crictl; }

tool_crictl_plain() { CONTAINERD_DISABLE_IGZIP=1 CONTAINERD_DISABLE_PIGZ=1 cri_pull "$1" 1 crictl; }

# cri_pull brings the image to a containerd with its CRI plugin, by crictl or by
# layerctl, and adds what the daemon takes. max_concurrent_unpacks is $2.
cri_pull() {
	local run=$target/containerd pid before after status=0
	mkdir -p "$run/certs.d/$REGISTRY"
	printf 'server = "http://%s"\n' "$REGISTRY" >"$run/certs.d/$REGISTRY/hosts.toml"
	cat >"$run/config.toml" <<-END
		version = 3
		root = "$run/root"
		state = "$run/state"
		[grpc]
		address = "$run/sock"
		[ttrpc]
		address = "$run/ttrpc"
		# Its socket has one path for all containerds of a machine.
		[plugins."io.containerd.nri.v1.nri"]
		disable = true
		[plugins."io.containerd.transfer.v1.local"]
		max_concurrent_unpacks = $2
		[plugins."io.containerd.cri.v1.images".registry]
		config_path = "$run/certs.d"
		[plugins."io.containerd.cri.v1.runtime".cni]
		conf_dir = "$run/cni"
	END
	"$BENCH_BIN/containerd" -c "$run/config.toml" -l error >&2 &
	pid=$!
	local crictl=("$BENCH_BIN/crictl" --image-endpoint "unix://$run/sock" --runtime-endpoint "unix://$run/sock" --timeout 3600s)
	until "${crictl[@]}" images >/dev/null 2>&1; do
		kill -0 "$pid" || return
		sleep 0.1
	done
	before=$(usage "$pid")
	if [[ $3 == into ]]; then
		timed "$BENCH_DIR/layerctl" --quiet --plain-http "$REGISTRY" --store "$target/store" pull --into "containerd=$run/sock" "$REGISTRY/$1" >"$run/pull" || status=$?
	else
		timed "${crictl[@]}" pull "$REGISTRY/$1" >"$run/pull" || status=$?
	fi
	after=$(usage "$pid")
	# Both must have brought the image.
	"${crictl[@]}" images -o json | jq -e --arg n "$REGISTRY/$1" 'any(.images[]; .repoTags | index($n))' >/dev/null || status=1
	[[ $status -ne 0 ]] || paste -d' ' <(echo "$before") <(echo "$after") <(tail -n 1 "$run/pull") |
		awk -v hz="$(getconf CLK_TCK)" '{ printf "%s\t%.2f\t%.1f\t%.1f", $(NF-3), ($4 - $1) / hz + $(NF-2), ($6 / 1024 > $(NF-1) ? $6 / 1024 : $(NF-1)), ($5 - $2) / 1048576 + $NF }'
	kill "$pid"
	wait "$pid" || true
	return $status
}

# usage is ticks of CPU, its children's too, bytes written, and KiB resident at
# most.
usage() {
	echo "$(awk '{ print $14 + $15 + $16 + $17 }' "/proc/$1/stat")" \
		"$(awk '/^write_bytes/ { print $2 }' "/proc/$1/io")" \
		"$(awk '/^VmHWM/ { print $2 }' "/proc/$1/status")"
}
