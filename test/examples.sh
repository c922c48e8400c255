#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs what examples/ shows: examples.sh LAYERCTL. A Docker engine and buildah
# build the Dockerfiles, for images of a local registry; the shell of the GitHub
# and GitLab files is run as it stands there. Needs root, Debian's docker.io,
# containerd, buildah, docker-registry, apache2-utils, skopeo, yq, python3 and
# attr, and in $LAYERCTL_TEST_IMAGES an OCI layout alpine-3.20.
set -euo pipefail
layerctl=$(realpath "$1")
cd "$(dirname "$0")/.."
images=${LAYERCTL_TEST_IMAGES:?names the directory that holds alpine-3.20}

work=$(mktemp -d)
pids=()
# shellcheck source=test/compare.sh
. test/compare.sh
# shellcheck source=test/registry.sh
. test/registry.sh
# shellcheck source=test/docker.sh
. test/docker.sh
cleanup() {
  stop_docker
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work" || true
}
trap cleanup EXIT
say() { echo "examples: $*"; }

# serve NAME [AUTH]: sets port; requests are in $work/NAME.log.
serve() {
  for _ in 1 2 3 4 5; do
    port=$(any_port)
    cat >"$work/$1.yml" <<CONFIG
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: '127.0.0.1:$port'}
${2:-}
CONFIG
    docker-registry serve "$work/$1.yml" >"$work/$1.log" 2>&1 &
    pids+=($!)
    ! listens "$port" $! || return 0
  done
  fail "the registry $1 does not answer: $(cat "$work/$1.log")"
}

# Of one storage: a registry for all, and one for those who know a password.
password=correct-horse-battery-staple
htpasswd -Bbn alice "$password" >"$work/htpasswd"
serve open
open=127.0.0.1:$port
serve private "auth: {htpasswd: {realm: test, path: $work/htpasswd}}"
private=127.0.0.1:$port
skopeo copy -q --all --dest-tls-verify=false "oci:$images/alpine-3.20" "docker://$open/alpine:3.20"

index=$(jq -r '.manifests[0].digest' "$images/alpine-3.20/index.json")
manifest=$(jq -r '[.manifests[] | select(.platform.architecture == "amd64")][0].digest' "$images/alpine-3.20/blobs/${index/:/\/}")
flatten "$images/alpine-3.20" "$manifest" "$work/alpine"
listing "$work/alpine" >"$work/alpine.list"
# For an ordinary user: the files are that user's, without set-id bits, and the
# umask of 022 holds, as for tar.
# shellcheck disable=SC2016 # for perl
perl -pe 's/ \d+:\d+ / 1000:1000 /; s/^(\S+ [^l] )(\d+) /$1 . sprintf("%o ", oct($2) & ~06022)/e' "$work/alpine.list" >"$work/alpine.list.user"

# right WHAT DIR [SUFFIX]: whether DIR is Alpine's root filesystem.
right() {
  listing "$2" >"$work/got"
  diff -u "$work/alpine.list${3:-}" "$work/got" >"$work/diff" || { head -n 40 "$work/diff"; fail "$1: not what tar makes of Alpine"; }
  say "$1: $(find "$2" -mindepth 1 | wc -l) paths equal tar's"
}

# buildah knows platforms, Debian's docker does not.
install -D "$layerctl" "$work/context/linux/amd64/layerctl"
cp "$layerctl" "$work/context/layerctl"
arguments=(--build-arg "BASE=$open/alpine:3.20" --build-arg "IMAGE=$open/alpine:3.20"
  --build-arg "LAYERCTL_FLAGS=--quiet --platform linux/amd64 --plain-http $open")

start_docker overlay2
docker build -q -f Dockerfile -t layerctl "$work/context" >"$work/log" 2>&1 || { cat "$work/log"; fail 'docker build Dockerfile'; }
docker save layerctl | tar -xO --wildcards '*/layer.tar' | tar -t >"$work/said"
[ "$(cat "$work/said")" = layerctl ] || fail "the image of layerctl holds $(cat "$work/said")"
for form in '' .user; do
  holds=srv
  [ -z "$form" ] || holds=build
  docker build -q --network=host --build-arg LAYERCTL=layerctl "${arguments[@]}" -f "examples/Dockerfile$form" -t "rootfs$form" examples >"$work/log" 2>&1 || { cat "$work/log"; fail "docker build Dockerfile$form"; }
  mkdir "$work/exported$form"
  docker export "$(docker create "rootfs$form" 2>"$work/log")" | tar -xp --numeric-owner -C "$work/exported$form" "$holds"
done
right 'docker: Dockerfile' "$work/exported/srv/rootfs"
right 'docker: Dockerfile.user' "$work/exported.user/build/rootfs" .user

# Everything of buildah's is the test's own, the cache mounts too.
export BUILDAH_ISOLATION=chroot TMPDIR=$work/tmp
mkdir "$TMPDIR"
buildah() { env -u DOCKER_CONFIG buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run" "$@"; }
build() { # TAG FILE ARGUMENT…
  buildah build -q --layers=false --network host --tls-verify=false --build-arg LAYERCTL=localhost/layerctl "${@:3}" -f "$2" -t "localhost/$1" examples >"$work/log" 2>&1 || { cat "$work/log"; fail "buildah build $2"; }
}
root_of() { buildah mount "$(buildah from --pull-never "localhost/$1")"; }
buildah build -q -f Dockerfile -t localhost/layerctl "$work/context" >"$work/log" 2>&1 || { cat "$work/log"; fail 'buildah build Dockerfile'; }
build root examples/Dockerfile "${arguments[@]}"
right 'buildah: Dockerfile' "$(root_of root)/srv/rootfs"
build user examples/Dockerfile.user "${arguments[@]}"
right 'buildah: Dockerfile.user' "$(root_of user)/build/rootfs" .user

# With a secret and a cache mount, twice.
auth=$(printf 'alice:%s' "$password" | base64)
printf '{"auths":{"%s":{"auth":"%s"}}}\n' "$private" "$auth" >"$work/secret.json"
blobs() { grep -c 'GET /v2/alpine/blobs/' "$work/private.log" || true; }
for round in first second; do
  before=$(blobs) requests=$(grep -c '"[A-Z]* /v2/' "$work/private.log" || true)
  build mounts examples/Dockerfile.buildkit "${arguments[@]}" --build-arg "IMAGE=$private/alpine:3.20" \
    --build-arg "LAYERCTL_FLAGS=--platform linux/amd64 --plain-http $private" --secret "id=registry,src=$work/secret.json"
  say "buildah: Dockerfile.buildkit: the $round build costs $(($(grep -c '"[A-Z]* /v2/' "$work/private.log") - requests)) requests, $(($(blobs) - before)) of them for blobs"
done
[ "$(blobs)" -gt 0 ] || fail 'no blob was fetched'
[ "$(blobs)" = "$before" ] || fail 'the second build fetched a layer again'
right 'buildah: Dockerfile.buildkit' "$(root_of mounts)/srv/rootfs"
for secret in "$password" "$auth"; do
  found=$(grep -rlaF -- "$secret" "$work/storage" "$TMPDIR" || true)
  [ -z "$found" ] || fail "the secret is left in $found"
done
say 'nothing of the secret is left in what buildah stores'
unset TMPDIR

# A release, as the pipelines fetch it.
mkdir "$work/release"
cp "$layerctl" "$work/release/layerctl_linux_amd64"
echo >"$work/release/layerctl_linux_arm64"
(cd "$work/release" && sha256sum layerctl_* >checksums.txt)
python3 -u -m http.server --bind 127.0.0.1 --directory "$work/release" 0 >"$work/release.log" 2>&1 &
pids+=($!)
until grep -q ' port ' "$work/release.log"; do
  kill -0 "${pids[-1]}" || fail "the server of the release: $(cat "$work/release.log")"
  sleep 0.1
done
release=http://127.0.0.1:$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$work/release.log")

# GitHub runs each step with bash -e, as an ordinary user.
github() {
  local n=0 step
  mkdir -p "$work/github/temp"
  : >"$work/github/path"
  chown -R 1000:1000 "$work/github"
  chmod 755 "$work"
  while read -r step; do
    n=$((n + 1))
    jq -r . <<<"$step" >"$work/step-$n"
    (cd "$work/github" && setpriv --reuid=1000 --regid=1000 --clear-groups env -i HOME="$work/github" RUNNER_TEMP="$work/github/temp" \
      GITHUB_PATH="$work/github/path" PATH="$(tr '\n' : <"$work/github/path")$PATH" LAYERCTL_RELEASE="$release" \
      LAYERCTL_FLAGS="-q --platform linux/amd64 --plain-http $open" IMAGE="$open/alpine:3.20" bash -e "$work/step-$n") >"$work/log" 2>&1 ||
      { cat "$work/log"; fail "step $n of github-action.yml"; }
  done < <(yq -c '.jobs.rootfs.steps[] | select(.run) | .run' examples/github-action.yml)
  [ "$n" = 2 ] || fail "github-action.yml has $n steps to run"
}
github
right 'github-action.yml' "$work/github/rootfs" .user
tar -tf "$work/github/rootfs.tar" ./etc/alpine-release >/dev/null

# GitLab runs before_script and script as one, in a container; variables may
# name others.
gitlab() {
  local key value
  {
    echo 'set -e'
    while IFS=$'\t' read -r key value; do
      case $key in
        LAYERCTL_RELEASE) value=$release ;;
        LAYERCTL_FLAGS) value="-q --platform linux/amd64 --plain-http $private" ;;
        IMAGE) value=${value/:latest/:3.20} ;;
      esac
      echo "export $key=\"$value\""
    done < <(yq -r '.rootfs.variables | to_entries[] | [.key, .value] | @tsv' examples/gitlab-ci.yml)
    yq -r '.rootfs | .before_script[], .script[], .after_script[]' examples/gitlab-ci.yml
    echo "! test -e \"\$LAYERCTL_AUTH_FILE\""
  } >"$work/gitlab.sh"
  mkdir "$work/gitlab"
  docker run --rm --network=host -v "$work/gitlab:/project" -v "$work/gitlab.sh:/gitlab.sh:ro" -w /project -e CI_PROJECT_DIR=/project \
    -e CI_REGISTRY="$private" -e CI_REGISTRY_IMAGE="$private/alpine" -e CI_REGISTRY_USER=alice -e CI_REGISTRY_PASSWORD="$password" \
    "$open/alpine:3.20" sh /gitlab.sh >"$work/log" 2>&1 || { cat "$work/log"; fail 'gitlab-ci.yml'; }
}
gitlab
right 'gitlab-ci.yml' "$work/gitlab/rootfs"
