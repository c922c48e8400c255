# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# shellcheck disable=SC2034 # bench/run stops the registry, and asks it
#
# The images of bench/run: files of this machine's /usr, as layers.
#
#   few    6 layers of the same size
#   flat   the same files in one layer
#   many   100 layers of a few MB
#
# Behind the colon stands who compressed them: gzip (Go's compress/gzip, at its
# default level, as BuildKit does), pigz, zstd.

start_registry() {
	cat >"$BENCH_DIR/registry.yml" <<-END
		version: 0.1
		log: {level: info, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $BENCH_DIR/registry}}
		http: {addr: "127.0.0.1:0"}
	END
	docker-registry serve "$BENCH_DIR/registry.yml" >"$BENCH_DIR/registry.log" 2>&1 &
	registry_pid=$!
	# The kernel gives a port that is free, and the log names it.
	local _
	for _ in {1..100}; do
		REGISTRY=$(grep -o -m 1 'listening on 127.0.0.1:[0-9]*' "$BENCH_DIR/registry.log" | grep -o '127.*' || true)
		[[ -n $REGISTRY ]] && return
		sleep 0.1
	done
	echo "bench/run: the registry does not start: see $BENCH_DIR/registry.log" >&2
	return 1
}

# corpus lists files of /usr, with the directories they lie in, in the order of
# their paths, until there are CORPUS_MB of them: "size TAB path".
corpus() {
	find /usr/share /usr/include /usr/local /usr/lib -xdev \( -type f -o -type d -o -type l \) -printf '%s\t%y\t%P\t%H\n' |
		awk -F'\t' -v OFS='\t' '{ p = $4 ($3 == "" ? "" : "/" $3); print ($2 == "f" ? $1 : 0), substr(p, 2) }' |
		LC_ALL=C sort -t$'\t' -k2 |
		awk -F'\t' -v max="$((CORPUS_MB * 1000000))" '{ s += $1 } s <= max'
}

# split_corpus makes n lists of about the same size, of the first share of it.
split_corpus() {
	local n=$1 max=$2 dir=$3
	rm -rf "$dir"
	mkdir -p "$dir"
	awk -F'\t' -v n="$n" -v max="$max" -v dir="$dir" '
		{ s += $1; if (s > max) exit; i = int(s * n / (max + 1)); printf "%s\n", $2 > sprintf("%s/%03d", dir, i) }' "$BENCH_DIR/corpus"
}

compressor() {
	case $1 in
	gzip) go_gzip ;;
	pigz) pigz -c -n ;;
	zstd) zstd -q -c ;;
	esac
}

go_gzip() {
	if [[ ! -x $BENCH_DIR/gogzip ]]; then
		mkdir -p "$BENCH_DIR/gogzip.src"
		cat >"$BENCH_DIR/gogzip.src/main.go" <<-'END'
			package main

			import (
				"compress/gzip"
				"io"
				"os"
			)

			func main() {
				z := gzip.NewWriter(os.Stdout)
				if _, err := io.Copy(z, os.Stdin); err != nil {
					panic(err)
				}
				if err := z.Close(); err != nil {
					panic(err)
				}
			}
		END
		go build -o "$BENCH_DIR/gogzip" "$BENCH_DIR/gogzip.src/main.go" </dev/null
	fi
	"$BENCH_DIR/gogzip"
}

# put adds standard input to the layout and prints digest and size.
put() {
	local layout=$1 tmp sum
	tmp=$(mktemp "$layout/put.XXXXXX")
	cat >"$tmp"
	sum=$(sha256sum <"$tmp" | cut -d' ' -f1)
	mv "$tmp" "$layout/blobs/sha256/$sum"
	echo "sha256:$sum $(stat -c %s "$layout/blobs/sha256/$sum")"
}

build_image() {
	local image=$1 shape=${1%:*} by=${1#*:} layout=$BENCH_DIR/images/${1/:/-} n=6 max=$((CORPUS_MB * 1000000))
	[[ -e $layout/index.json ]] || {
		[[ -e $BENCH_DIR/corpus ]] || corpus >"$BENCH_DIR/corpus"
		case $shape in
		flat) n=1 ;;
		many) n=100 max=$((max / 4)) ;;
		esac
		split_corpus "$n" "$max" "$BENCH_DIR/lists"
		echo "bench/run: building $image: $(cat "$BENCH_DIR"/lists/* | wc -l) paths" >&2
		write_layout "$layout" "$by"
	}
	tar_size "$image" >/dev/null # before the clock runs
	skopeo copy -q --dest-tls-verify=false "oci:$layout:bench" "docker://$REGISTRY/$shape:$by"
}

# tar_size is how many MiB the tars of an image's layers have, uncompressed.
tar_size() {
	local layout=$BENCH_DIR/images/${1/:/-} unpack=gzip
	[[ ${1#*:} == zstd ]] && unpack=zstd
	[[ -e $layout/tar-size ]] || jq -r '.manifests[0].digest' "$layout/index.json" | tr : / |
		xargs -I{} jq -r '.layers[].digest' "$layout/blobs/{}" | tr : / |
		(cd "$layout/blobs" && xargs "$unpack" -dcq) | wc -c | awk '{ printf "%.1f\n", $1 / 1048576 }' >"$layout/tar-size"
	cat "$layout/tar-size"
}

write_layout() {
	local layout=$1 by=$2 list diff digest size media=gzip
	[[ $by == zstd ]] && media=zstd
	rm -rf "$layout"
	mkdir -p "$layout/blobs/sha256"
	: >"$layout/layers"
	: >"$layout/diffs"
	for list in "$BENCH_DIR"/lists/*; do
		tar -C / --no-recursion --hard-dereference -cf - -T "$list" |
			tee >(sha256sum | cut -d' ' -f1 >"$layout/diff") | compressor "$by" | put "$layout" >"$layout/put"
		read -r digest size <"$layout/put"
		while [[ ! -s $layout/diff ]]; do sleep 0.01; done
		diff=$(cat "$layout/diff")
		rm "$layout/diff"
		jq -nc --arg m "application/vnd.oci.image.layer.v1.tar+$media" --arg d "$digest" --argjson s "$size" \
			'{mediaType: $m, digest: $d, size: $s}' >>"$layout/layers"
		echo "\"sha256:$diff\"" >>"$layout/diffs"
	done
	jq -nc --slurpfile d "$layout/diffs" \
		'{architecture: "amd64", os: "linux", config: {}, rootfs: {type: "layers", diff_ids: $d}}' | put "$layout" >"$layout/put"
	read -r digest size <"$layout/put"
	jq -nc --arg d "$digest" --argjson s "$size" --slurpfile l "$layout/layers" \
		'{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
		  config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $d, size: $s}, layers: $l}' | put "$layout" >"$layout/put"
	read -r digest size <"$layout/put"
	rm "$layout"/{layers,diffs,put}
	echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
	jq -nc --arg d "$digest" --argjson s "$size" \
		'{schemaVersion: 2, manifests: [{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $d, size: $s,
		  annotations: {"org.opencontainers.image.ref.name": "bench"}}]}' >"$layout/index.json"
}
