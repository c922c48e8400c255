#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints the licences of what layerctl is linked from, as they ask for: those of
# Go's library and of each module, in whole. Needs Go and the modules.
set -euo pipefail
cd "$(dirname "$0")/.."

notice() { # NAME FILE...
  printf '==== %s\n\n' "$1"
  shift
  cat "$@"
  printf '\n'
}

notice "Go's standard library" "$(go env GOROOT)/LICENSE"
go list -deps -tags urfave_cli_no_docs,grpcnotrace \
  -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/layerctl | LC_ALL=C sort -u |
  while read -r module version dir; do
    shopt -s nullglob nocaseglob
    files=("$dir"/{license,copying,unlicense,notice}*)
    shopt -u nullglob nocaseglob
    [ ${#files[@]} -gt 0 ] || { echo "notices: $module has no licence in $dir" >&2; exit 1; }
    notice "$module $version" "${files[@]}"
  done
