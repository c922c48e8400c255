#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints what .goreleaser.yml builds for, a platform a line: GOARCH, and for
# ARM a slash and GOARM.
set -euo pipefail
cd "$(dirname "$0")/.."
sed -nE 's/^ +- linux_([a-z0-9]+)(_([0-9]))?$/\1\/\3/p' .goreleaser.yml | sed 's,/$,,'
