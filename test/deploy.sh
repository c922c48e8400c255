#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The units and manifests of deploy/: deploy.sh LAYERCTL. systemd-analyze reads the
# units and says how exposed they are; what their services run is run with the
# capabilities, the mounts and no new privileges that they ask for; Kubernetes' own
# types read the manifests, and no field that those do not have. Needs root, Go and
# Debian's systemd and util-linux.
set -euo pipefail
layerctl=$(realpath "$1")
cd "$(dirname "$0")/.."

work=$(mktemp -d)
cleanup() {
  rm -rf "$work" || true
}
trap cleanup EXIT
# shellcheck source=test/compare.sh
. test/compare.sh
say() { echo "deploy: $* (${SECONDS}s)"; }

say '-- the units'
mkdir "$work/units"
cp deploy/systemd/*.service deploy/systemd/*.timer "$work/units"
sed -i "s,/usr/bin/layerctl,$layerctl," "$work"/units/*.service
systemd-analyze verify --man=no "$work"/units/* || fail 'a unit is not right'
# exposed UNIT MOST: the score, of ten, where less is better.
exposed() {
  local score
  score=$(systemd-analyze security --offline=true "$work/units/$1" | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')
  say "$1 is exposed $score of 10"
  awk -v s="$score" -v m="$2" 'BEGIN {exit !(s != "" && s <= m)}' || fail "$1 is more exposed than $2"
}
exposed layerctl-sync.service 4.2
exposed layerctl-serve.service 1.9
mkdir "$work/etc"
systemd-tmpfiles --create --root="$work/etc" - <deploy/systemd/layerctl.tmpfiles
[ -d "$work/etc/var/lib/layerctl" ] || fail 'tmpfiles makes no directory'

say '-- what sync runs, with what its unit leaves it'
# confined UNIT COMMAND...: all is read-only but what the unit says; its
# capabilities, no new privileges.
confined() {
  local caps write
  caps=$(sed -n 's/^CapabilityBoundingSet=//p' "$work/units/$1" | tr ' ' '\n' | sed -n 's/^CAP_/+/p' | tr 'A-Z\n' 'a-z,' | sed 's/,$//')
  write=$2
  shift 2
  # shellcheck disable=SC2016 # for the inner shell
  ${become:-} unshare --mount --propagation slave sh -c '
    set -e
    mount --bind "$1" "$1"
    mount -o remount,bind,ro /
    mount -o remount,bind,rw "$1"
    caps=$2
    shift 2
    exec setpriv --no-new-privs --bounding-set="-all${caps:+,$caps}" --inh-caps=-all "$@"' confined "$write" "$caps" "$@"
}
mkdir -p "$work/lib/layerctl"
printf 'oci:%s linux/amd64 pin\noci:%s linux/arm/v7\n' "$PWD/testdata/images/hello" "$PWD/testdata/images/hello" >"$work/images.txt"
read -ra run < <(sed -n 's/^ExecStart=//p' "$work/units/layerctl-sync.service" | sed "s,/etc/layerctl/images.txt,$work/images.txt,; s,\$LAYERCTL_SYNC,,")
export LAYERCTL_STORE=$work/lib/layerctl
confined layerctl-sync.service "$work/lib" "${run[@]}" || fail 'sync does not work with what its unit leaves it'
"$layerctl" status
"$layerctl" verify --quiet >/dev/null
! confined layerctl-sync.service "$work/lib" touch "$work/else" 2>/dev/null || fail 'what is outside can be written'

say '-- what serve runs, without any privilege'
mkdir -p "$LAYERCTL_STORE/blobs"
# shellcheck disable=SC2016 # a name that the unit has
read -ra run < <(sed -n 's/^ExecStart=//p' "$work/units/layerctl-serve.service" | sed 's,--quiet,,; s,$LAYERCTL_SERVE,--listen 127.0.0.1:0,')
become="exec" confined layerctl-serve.service "$LAYERCTL_STORE/blobs" "${run[@]}" 2>"$work/serve.log" &
server=$!
for _ in $(seq 600); do ! grep -q serving "$work/serve.log" || break; sleep 0.1; done
python3 - "$(sed -n 's/.*serving at //p' "$work/serve.log")" <<'PY' || { cat "$work/serve.log"; fail 'serve does not serve'; }
import sys, urllib.request
assert urllib.request.urlopen(sys.argv[1] + "/v2/").read() == b"{}\n"
PY
kill "$server"
wait "$server" || fail "serve ends with $?"

say '-- the manifests'
mkdir "$work/strict"
cat >"$work/strict/main.go" <<'GO'
package main

import (
	"bytes"
	"fmt"
	"os"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	for _, file := range os.Args[1:] {
		raw, err := os.ReadFile(file)
		for _, one := range bytes.Split(raw, []byte("\n---\n")) {
			var kind struct{ APIVersion, Kind string }
			if err == nil {
				err = yaml.Unmarshal(one, &kind)
			}
			into := map[string]any{
				"apps/v1 DaemonSet": &apps.DaemonSet{}, "batch/v1 Job": &batch.Job{}, "v1 Namespace": &core.Namespace{},
			}[kind.APIVersion+" "+kind.Kind]
			if err == nil && into == nil {
				err = fmt.Errorf("%+v is not known", kind)
			}
			if err == nil {
				err = yaml.UnmarshalStrict(one, into)
			}
			fmt.Println(file, kind.Kind, err)
		}
		if err != nil {
			os.Exit(1)
		}
	}
}
GO
(cd "$work/strict" && printf 'module strict\n\ngo 1.25\n' >go.mod && go get k8s.io/api@v0.34.1 sigs.k8s.io/yaml@v1.6.0 >"$work/log" 2>&1 && go mod tidy >>"$work/log" 2>&1 && go build -o strict .) || { cat "$work/log"; fail 'cannot build what reads manifests'; }
"$work/strict/strict" deploy/kubernetes/{namespace,daemonset}.yaml deploy/kubernetes/k3s/{namespace,job}.yaml || fail 'a manifest is not right'
if command -v kubectl >/dev/null; then
  for dir in deploy/kubernetes deploy/kubernetes/k3s; do kubectl kustomize "$dir" >/dev/null; done
fi
# The lists in them are lists.
for list in deploy/kubernetes/images.txt deploy/kubernetes/k3s/images.txt; do
  "$layerctl" sync --offline --dry-run --quiet --store "$work/none" -f "$list" >/dev/null 2>"$work/err" || grep -q 'not in the cache, and offline' "$work/err" || { cat "$work/err"; fail "$list is no list"; }
done
say '-- done'
