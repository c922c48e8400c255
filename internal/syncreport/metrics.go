// SPDX-License-Identifier: Apache-2.0

package syncreport

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// WriteMetrics writes a report in Prometheus' text format, for node_exporter's
// textfile collector: gauges in base units, without timestamps, one family after
// the other
// (prometheus.io/docs/instrumenting/exposition_formats, …/practices/naming).
func WriteMetrics(to io.Writer, r Report) error {
	m := &metrics{Writer: bufio.NewWriter(to)}
	m.one("layerctl_sync_start_timestamp_seconds", "When the last run of sync began.", stamp(&r.Began))
	m.one("layerctl_sync_end_timestamp_seconds", "When the last run of sync ended.", stamp(&r.Ended))
	m.one("layerctl_sync_success_timestamp_seconds", "When the last run of sync ended that brought all; 0 for never.", stamp(r.Succeeded))
	m.one("layerctl_sync_exit_code", "The exit code of the last run of sync.", float64(r.ExitCode))
	m.one("layerctl_sync_pruned_bytes", "What the last run of sync freed on the disk.", float64(r.Pruned))
	m.one("layerctl_store_free_bytes", "What the filesystem of the store had free at its end.", float64(r.Free))
	counts := r.Counts()
	m.family("layerctl_sync_images", "Images of the last run of sync, by what became of them.")
	for _, s := range states() {
		m.sample("layerctl_sync_images", float64(counts[s]), "state", string(s))
	}
	hosts := map[string]int64{}
	for _, i := range r.Images {
		for _, h := range i.Hosts {
			hosts[h.Host] += h.Bytes
		}
	}
	m.family("layerctl_sync_received_bytes", "Bytes of layers that the last run of sync received, by the host that sent them.")
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		m.sample("layerctl_sync_received_bytes", float64(hosts[host]), "host", host)
	}
	m.images(r.Images)
	return m.Flush()
}

// metrics writes families. Its errors come with Flush.
type metrics struct{ *bufio.Writer }

// images writes what there is of each image that the list names.
func (m *metrics) images(all []Image) {
	listed := slices.Clone(all)
	listed = slices.DeleteFunc(listed, func(i Image) bool { return i.Line == 0 })
	sort.SliceStable(listed, func(i, j int) bool {
		a, b := listed[i], listed[j]
		return cmp.Or(cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.Platform, b.Platform)) < 0
	})
	listed = slices.CompactFunc(listed, func(a, b Image) bool { return a.Reference == b.Reference && a.Platform == b.Platform })
	for _, f := range []struct {
		name, help string
		value      func(Image) float64
	}{
		{"layerctl_image_ready", "Whether the node has the image that the list means, in every engine that it is for.", func(i Image) float64 {
			if i.State == Present || i.State == Pulled {
				return 1
			}
			return 0
		}},
		{"layerctl_image_size_bytes", "The size of the image as registries have it.", func(i Image) float64 { return float64(i.Size) }},
		{"layerctl_image_verified_timestamp_seconds", "When all of the image was read and compared last; 0 for never.", func(i Image) float64 { return stamp(i.Verified) }},
	} {
		m.family(f.name, f.help)
		for _, i := range listed {
			m.sample(f.name, f.value(i), "reference", i.Reference, "platform", i.Platform)
		}
	}
}

func (m *metrics) one(name, help string, value float64) {
	m.family(name, help)
	m.sample(name, value)
}

func (m *metrics) family(name, help string) {
	fmt.Fprintf(m, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// sample writes one value; labels are names, each before its value.
func (m *metrics) sample(name string, value float64, labels ...string) {
	m.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		m.WriteString(map[bool]string{true: "{", false: ","}[i == 0] + labels[i] + `="` + escape(labels[i+1]) + `"`)
	}
	if len(labels) > 0 {
		m.WriteByte('}')
	}
	m.WriteString(" " + strconv.FormatFloat(value, 'f', -1, 64) + "\n")
}

// escape is a label's value as the format has it. What is not printable would
// be valid there, and not where it is shown.
func escape(value string) string {
	quoted := strconv.QuoteToGraphic(value)
	quoted = strings.NewReplacer(`\n`, `\n`, `\"`, `\"`, `\\`, `\\`, `\`, `\\`).Replace(quoted[1 : len(quoted)-1])
	return quoted
}

// stamp is a time in seconds of the epoch; 0 for none.
func stamp(t *time.Time) float64 {
	if t == nil || t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
