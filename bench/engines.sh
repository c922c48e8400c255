#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compares `layerctl pull --into containerd` with `crictl pull` of the same
# containerd, tuned and as it comes: bench/engines.sh, with the environment of
# bench/run. See README.md here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export IMAGES=${IMAGES:-few:gzip flat:gzip many:gzip}
export TOOLS=${TOOLS:-layerctl-into crictl-tuned crictl-plain}
export BASE=${BASE:-layerctl-into}
exec "$here/run" "$@"
