// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	kgzip "github.com/klauspost/compress/gzip"
)

// The benchmarks decode what every maker makes of the file INFLATE_TAR at its
// usual level, or of the machine's own Go tree when that is not set.
func benchStreams(b *testing.B, run func(b *testing.B, name string)) {
	var data []byte
	for _, m := range makers() {
		switch m.name {
		case "gzip -6", "go 6", "klauspost 6", "pgzip 6", "pigz -6", "igzip -1":
		default:
			continue
		}
		b.Run(strings.ReplaceAll(m.name, " ", ""), func(b *testing.B) {
			program, _, external := strings.Cut(m.name, " -")
			if _, err := exec.LookPath(program); external && err != nil {
				b.Skip("needs a program: ", err)
			}
			if data == nil {
				data = benchData(b)
			}
			name := filepath.Join(b.TempDir(), "stream.gz")
			if err := os.WriteFile(name, m.make(b, data), 0o600); err != nil {
				b.Fatal(err)
			}
			run(b, name)
		})
	}
}

func benchData(b *testing.B) []byte {
	var data []byte
	paths := []string{os.Getenv("INFLATE_TAR")}
	if paths[0] == "" {
		var err error
		if paths, err = filepath.Glob(filepath.Join(goRoot(b), "src/*/*.go")); err != nil {
			b.Fatal(err)
		}
		paths = append(paths, os.Args[0])
	}
	for _, p := range paths {
		content, err := os.ReadFile(p)
		if err != nil {
			b.Fatal(err)
		}
		data = append(data, content...)
	}
	return data
}

func goRoot(tb testing.TB) string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		tb.Skip("needs the go command for something to decode: ", err)
	}
	return strings.TrimSpace(string(out))
}

// A contender decodes a file and says how many bytes came out.
type contender struct {
	name string
	run  func(name string) (int64, error)
}

func contenders() []contender {
	z, b := NewReader(nil), NewBuffer(readBuffer)
	list := []contender{
		{"inflate", func(name string) (n int64, err error) {
			return n, withFile(name, func(f *os.File) error {
				for z.Reset(f); ; {
					p, err := z.Next(b)
					n += int64(len(p))
					if err == io.EOF {
						return nil
					} else if err != nil {
						return err
					}
				}
			})
		}},
		{"klauspost", func(name string) (n int64, err error) {
			return n, withFile(name, func(f *os.File) error {
				z, err := kgzip.NewReader(f)
				if err == nil {
					n, err = io.Copy(io.Discard, z)
				}
				return err
			})
		}},
		{"std", func(name string) (n int64, err error) {
			return n, withFile(name, func(f *os.File) error {
				z, err := gzip.NewReader(f)
				if err == nil {
					n, err = io.Copy(io.Discard, z)
				}
				return err
			})
		}},
	}
	if _, err := exec.LookPath("igzip"); err == nil {
		list = append(list, contender{"igzip", func(name string) (int64, error) {
			return 0, exec.Command("igzip", "-d", "-T1", "-c", name).Run()
		}})
	}
	return list
}

func withFile(name string, use func(*os.File) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return use(f)
}

// BenchmarkDecode has one sub-benchmark for each stream and decoder.
func BenchmarkDecode(b *testing.B) {
	benchStreams(b, func(b *testing.B, name string) {
		for _, c := range contenders()[:3] {
			b.Run(c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					n, err := c.run(name)
					if err != nil {
						b.Fatal(err)
					}
					b.SetBytes(n)
				}
			})
		}
	})
}

// BenchmarkRatio runs the decoders in turn, INFLATE_ROUNDS times (5), and logs
// the medians of the ratios within a round, by processor time: other work on
// the machine disturbs that less than wall time. Run it with -benchtime 1x.
func BenchmarkRatio(b *testing.B) {
	rounds := 5
	fmt.Sscan(os.Getenv("INFLATE_ROUNDS"), &rounds)
	list := contenders()
	benchStreams(b, func(b *testing.B, name string) {
		for b.Loop() {
			reportRatios(b, list, name, rounds)
		}
	})
}

func reportRatios(b *testing.B, list []contender, name string, rounds int) {
	ratios := make([][]float64, len(list))
	var rates []float64
	for range rounds {
		var first time.Duration
		for i, c := range list {
			before := cpuTime(b)
			n, err := c.run(name)
			took := cpuTime(b) - before
			if err != nil {
				b.Fatal(c.name, err)
			}
			if i == 0 {
				first = took
				rates = append(rates, float64(n)/1e6/took.Seconds())
			}
			ratios[i] = append(ratios[i], float64(took)/float64(first))
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(rates), "MB/cpu-s")
	for i, c := range list[1:] {
		b.ReportMetric(median(ratios[i+1]), "x-"+c.name)
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// cpuTime is the processor time of this process and its finished children.
func cpuTime(tb testing.TB) time.Duration {
	var total time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			tb.Fatal(err)
		}
		total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return total
}
