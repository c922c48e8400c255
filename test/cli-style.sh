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
  local command text commands
  commands=$("$layerctl" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\)  .*/\1/p' | grep -v '^help$')
  [ "$(wc -w <<<"$commands")" -gt 20 ]
  for command in '' $commands; do
    # shellcheck disable=SC2086
    text=$("$layerctl" $command --help)
    if LC_ALL=C.UTF-8 grep -nE '.{81}|\(default: (false|0)?\)|\) \(default' <<<"$text"; then
      echo "the help of '$command' is too wide, or has a default twice or a false one"
      return 1
    fi
    [ "$(sed -n '/^Examples:/,/^$/p' <<<"$text" | grep -c '^  # ')" -ge 3 ] || { echo "the help of '$command' has less than three examples"; return 1; }
  done
  # That the flags of the examples exist, and more that needs the program's parts.
  go test -count=1 -run '^(TestHelp|TestMistypedWords|TestManual)$' ./cmd/layerctl
}

# Each mistake of docs/messages.md: exit code, line and hint.
messages() {
  go test -count=1 -run '^TestMessages$' ./cmd/layerctl
}

for section in $sections; do
  printf -- '-- %s\n' "$section"
  "$section"
done
