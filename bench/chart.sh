#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# chart.sh [RESULTS]: draws the wall times of bench/results.md as an SVG on
# standard output: for each image with gzip the tools' ratios to layerctl.
#
#   bench/chart.sh >docs/speed.svg
set -euo pipefail
cd "$(dirname "$0")/.."

awk -F ' *[|] *' '
# bar draws one tool of an image: its name, a bar and a label.
function bar(name, ratio, label, class) {
	printf "<text x=\"150\" y=\"%d\" class=\"name\">%s</text>\n", y + 11, name
	printf "<rect x=\"158\" y=\"%d\" width=\"%.0f\" height=\"13\" class=\"%s\"/>\n", y, ratio * unit, class
	printf "<text x=\"%.0f\" y=\"%d\">%s</text>\n", 164 + ratio * unit, y + 11, label
	y += 18
}
function heading(image) {
	y += 14
	printf "<text x=\"8\" y=\"%d\" class=\"image\">%s</text>\n", y + 11, what[image]
	y += 20
}
BEGIN {
	unit = 100
	what["few:gzip"] = "1.75 GB in six layers"
	what["flat:gzip"] = "1.75 GB in one layer"
	what["many:gzip"] = "0.34 GB in a hundred layers"
	tools = " containerd-tuned containerd-plain skopeo crane "
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 680 390\" width=\"680\" height=\"390\" role=\"img\" aria-label=\"Time of a pull, relative to layerctl: shorter is faster\">"
	print "<style>text{font:12px sans-serif;fill:#57606a}.name{text-anchor:end}.image{font-weight:bold}.ours{fill:#1a7f37}.theirs{fill:#9aa4af}"
	print "@media (prefers-color-scheme:dark){text{fill:#adbac7}.theirs{fill:#6b7682}}</style>"
	print "<text x=\"8\" y=\"16\">Time of a pull, relative to layerctl; shorter is faster. Only layerctl syncs to disk.</text>"
	y = 18
}
/^## / { exit } # tables of something else
what[$2] && $3 == "layerctl" {
	heading($2)
	bar("layerctl", 1, "1 (" $4 ")", "ours")
}
what[$2] && index(tools, " " $3 " ") {
	split($4, figure, " ")
	bar($3, figure[1], figure[1], "theirs")
}
END { print "</svg>" }
' "${1:-bench/results.md}" | sed -E 's/ \(([0-9.]+ s) \([^)]*\)\)/ (\1)/'
