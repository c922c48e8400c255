// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/overlaystore"
)

// variant is a pull with or without a thing whose cost is asked for.
type variant struct {
	name                    string
	noSync, noFiles, serial bool
	wall, cpu               []float64 // seconds
	content                 int64     // bytes of files
}

// BenchmarkPullCost pulls $LAYERCTL_COST_IMAGE $LAYERCTL_COST_ROUNDS times in
// each variant, in turns, into stores in $LAYERCTL_COST_DIR, and prints a
// table of medians; test/cost.sh makes an image for it. What a variant costs
// is the median of the ratios within the rounds: the machine may have other
// things to do.
func BenchmarkPullCost(b *testing.B) {
	image, dir := os.Getenv("LAYERCTL_COST_IMAGE"), os.Getenv("LAYERCTL_COST_DIR")
	if image == "" || dir == "" {
		b.Skip("needs LAYERCTL_COST_IMAGE and LAYERCTL_COST_DIR; see test/cost.sh")
	}
	rounds, err := strconv.Atoi(os.Getenv("LAYERCTL_COST_ROUNDS"))
	if err != nil {
		rounds = 5
	}
	variants := []*variant{
		{name: "sync, records"},
		{name: "sync, no records", noFiles: true},
		{name: "no sync, records", noSync: true},
		{name: "no sync, no records", noSync: true, noFiles: true},
		{name: "no sync, records, no stages", noSync: true, serial: true},
	}
	for round := range rounds {
		for i := range variants {
			// Nobody is always the one after the same one.
			v := variants[(i*(1+2*(round%2))+round)%len(variants)]
			wall, cpu := v.measure(b, image, filepath.Join(dir, "store"))
			v.wall, v.cpu = append(v.wall, wall), append(v.cpu, cpu)
			fmt.Fprintf(os.Stderr, "round %d, %s: %.2f s, %.2f s of CPU\n", round+1, v.name, wall, cpu)
		}
	}
	fmt.Printf("\n| pull of %s, %d rounds | seconds | CPU seconds | to the first | CPU to the first |\n|---|---|---|---|---|\n", filepath.Base(image), rounds)
	for _, v := range variants {
		fmt.Printf("| %s | %.3f | %.3f | %+.1f %% | %+.1f %% |\n", v.name, median(v.wall), median(v.cpu),
			100*ratio(v.wall, variants[0].wall)-100, 100*ratio(v.cpu, variants[0].cpu)-100)
	}
	for _, pair := range [][2]*variant{{variants[0], variants[1]}, {variants[2], variants[3]}} {
		fmt.Printf("records cost, %s to %s: %+.1f %% of the time, %+.1f %% of the CPU time\n", pair[0].name, pair[1].name,
			100*ratio(pair[0].wall, pair[1].wall)-100, 100*ratio(pair[0].cpu, pair[1].cpu)-100)
	}
	fmt.Printf("stages cost, %s to %s: %+.1f %% of the time, %+.1f %% of the CPU time\n", variants[2].name, variants[4].name,
		100*ratio(variants[2].wall, variants[4].wall)-100, 100*ratio(variants[2].cpu, variants[4].cpu)-100)
	sums := checksums(b, variants[0].content)
	fmt.Printf("of that the checksums of %d bytes: %.3f s, %.1f %% of the CPU time\n", variants[0].content, sums, 100*sums/median(variants[0].cpu))
}

// checksums is the CPU time that the CRC-32C of so many bytes takes, in pieces
// that, like what unpacking sums up, were just written.
func checksums(b *testing.B, bytes int64) float64 {
	table, piece := crc32.MakeTable(crc32.Castagnoli), make([]byte, 64<<10)
	begin, sum := cpuTime(b), uint32(0)
	for n := int64(0); n < bytes; n += int64(len(piece)) {
		sum = crc32.Update(sum, table, piece)
	}
	b.ReportMetric(float64(sum), "sum") // so that it must be computed
	return cpuTime(b) - begin
}

func (v *variant) measure(b *testing.B, image, dir string) (wall, cpu float64) {
	b.Helper()
	store, err := overlaystore.Open(b.Context(), dir, overlaystore.Options{NoSync: v.noSync})
	if err != nil {
		b.Fatal(err)
	}
	// What is dirty already is nobody's cost here.
	if err := disktest.Sync(dir); err != nil {
		b.Fatal(err)
	}
	begin, used := time.Now(), cpuTime(b)
	client := New(Options{})
	client.measured.Unrecorded, client.measured.Serial = v.noFiles, v.serial
	pulled, err := client.Pull(b.Context(), store, image)
	wall, cpu = time.Since(begin).Seconds(), cpuTime(b)-used
	if err != nil {
		b.Fatal(err)
	}
	v.content = 0
	for _, diffID := range pulled.Image.Layers {
		record, err := store.Layer(diffID)
		if err != nil {
			b.Fatal(err)
		}
		v.content += record.DiskSize
	}
	if err := store.Close(); err != nil {
		b.Error(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		b.Error(err)
	}
	return wall, cpu
}

func cpuTime(b *testing.B) float64 {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}

// ratio is the median of the ratios of what was measured in the same round.
func ratio(a, b []float64) float64 {
	var ratios []float64
	for i := range a {
		ratios = append(ratios, a[i]/b[i])
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
