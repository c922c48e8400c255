#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the command says to people: its help, and its messages. Takes the
# program as its argument, and after it the sections to run; none means all.
set -euo pipefail
cd "$(dirname "$0")/.."

layerctl=$(realpath "$1")
shift
sections=${*:-help messages}

# Each help text.
help() {
  "$layerctl" --help >/dev/null
}

# Each mistake of docs/messages.md: exit code, line and hint.
messages() {
  go test -count=1 -run '^TestMessages$' ./cmd/layerctl
}

for section in $sections; do
  printf -- '-- %s\n' "$section"
  "$section"
done
