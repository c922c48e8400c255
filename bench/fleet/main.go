// SPDX-License-Identifier: Apache-2.0

// Command fleet plays a night of many nodes against a model of a registry and
// prints what it costs: docs/fleet.md has its figures. The same seed gives the
// same figures.
//
//	go run ./bench/fleet -nodes 300 -seed 1
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	night, nodes := usual(), ""
	flag.StringVar(&nodes, "nodes", "10,300,10000", "how many nodes, with commas between")
	flag.Int64Var(&night.Seed, "seed", 1, "what chance begins with")
	flag.IntVar(&night.Images, "images", night.Images, "images of the list")
	flag.IntVar(&night.Changed, "changed", night.Changed, "of which so many have changed")
	flag.IntVar(&night.Layers, "layers", night.Layers, "new layers of one that has")
	flag.Float64Var(&night.Bytes, "bytes", night.Bytes, "compressed bytes of a new layer")
	flag.Float64Var(&night.Registry, "registry", night.Registry, "bytes a second that the registry sends")
	flag.Float64Var(&night.Link, "link", night.Link, "bytes a second that a site's link takes, or with sites of one a node's")
	flag.Float64Var(&night.LAN, "lan", night.LAN, "bytes a second within a site")
	flag.IntVar(&night.Site, "site", night.Site, "nodes of a site")
	flag.DurationVar(&night.Splay, "splay", night.Splay, "how far apart nodes begin")
	flag.Parse()
	if err := print(os.Stdout, night, nodes); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

// usual is the night of docs/fleet.md.
func usual() setting {
	return setting{
		Seed: 1, Images: 20, Changed: 3, Layers: 2, Bytes: 20e6, Registry: 125e6, Link: 6.25e6, LAN: 100e6,
		Site: 10, Splay: 30 * time.Minute, Jitter: 5 * time.Second,
	}
}

// print writes a table: a row for each number of nodes and each way.
func print(to io.Writer, night setting, nodes string) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "nodes\tway\tregistry sends\trequests\tmost a second\tconnections\thalf are done\tall are done")
	for text := range strings.SplitSeq(nodes, ",") {
		n := 0
		if _, err := fmt.Sscan(text, &n); err != nil || n < 1 || n > 100_000 {
			return fmt.Errorf("%q is no number of nodes", text)
		}
		for _, way := range ways() {
			night.Nodes = n
			r := night.play(way)
			fmt.Fprintf(table, "%d\t%s\t%.1f GB\t%d\t%d\t%d\t%s\t%s\n", n, way.name, r.Sent/1e9, r.Requests, r.Peak, r.Connections, r.Half, r.All)
		}
	}
	return table.Flush()
}
