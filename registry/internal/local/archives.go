// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"sync"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/scratch"
	"github.com/layerctl/layerctl/registry/internal/failure"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Stdin is the path that means standard input.
const Stdin = "-"

// Options say how archives are opened. The zero value works.
type Options struct {
	// TempDir is the directory in which an archive that is compressed as a whole, or
	// comes from Stdin, is unpacked into a file without a name; "" means $TMPDIR or,
	// without that, /var/tmp.
	TempDir string
	// MaxSize is how many bytes such an archive may have when it is unpacked; 0 means
	// 256 GiB, a negative number no limit.
	MaxSize int64
	// MaxRatio is how many times larger it may become by being unpacked, if it becomes
	// larger than 1 GiB; 0 means 200, a negative number no limit.
	MaxRatio int64
	// Reserve is how many bytes stay free in TempDir; 0 means 64 MiB, a negative
	// number none.
	Reserve int64
	// MaxWindow is how many bytes of memory zstd and xz may use to decompress it; 0
	// means 64 MiB. Numbers below 8 MiB mean 8 MiB, numbers above 128 MiB mean that.
	MaxWindow int64
	// Stdin is read for an archive whose path is "-"; nil means that there is none.
	Stdin io.Reader
}

func (o Options) withDefaults() Options {
	if o.TempDir == "" {
		o.TempDir = scratch.Dir()
	}
	o.MaxSize = limit(o.MaxSize, 256<<30)
	o.MaxRatio = limit(o.MaxRatio, 200)
	if o.Reserve == 0 {
		o.Reserve = 64 << 20
	}
	o.Reserve = max(o.Reserve, 0)
	if o.MaxWindow == 0 {
		o.MaxWindow = 64 << 20
	}
	o.MaxWindow = min(max(o.MaxWindow, leastWindow), mostWindow)
	return o
}

// limit reads an option of which 0 means the fallback and a negative number no limit.
func limit(n, fallback int64) int64 {
	switch {
	case n == 0:
		return fallback
	case n < 0:
		return math.MaxInt64
	}
	return n
}

// Archives opens archives. It may be used concurrently.
type Archives struct {
	options Options
	logger  *slog.Logger

	mu    sync.Mutex
	stdin *os.File // the tar from Options.Stdin, once read; all that open it share it
}

// NewArchives returns Archives. The logger is told of files that an archive has twice.
func NewArchives(o Options, logger *slog.Logger) *Archives {
	return &Archives{options: o.withDefaults(), logger: logger}
}

// OCI opens a layout in a tar file.
func (as *Archives) OCI(ctx context.Context, name Name) (*Layout, error) {
	a, err := as.open(ctx, name.Path)
	if err != nil {
		return nil, err
	}
	return newLayout(name, a)
}

// Docker opens what "docker save" writes, and makes the manifest of the image that the
// name means.
func (as *Archives) Docker(ctx context.Context, name Name) (*DockerArchive, error) {
	a, err := as.open(ctx, name.Path)
	if err != nil {
		return nil, err
	}
	d := &DockerArchive{name: name, files: a, layers: map[string]ocispec.Descriptor{}}
	if err := d.choose(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return d, nil
}

// open opens the archive's tar and reads its table of contents.
func (as *Archives) open(ctx context.Context, path string) (*archive, error) {
	f, shared, err := as.tar(ctx, path)
	if err != nil {
		return nil, err
	}
	a := &archive{file: f, path: Name{Path: path}.file(), shared: shared}
	if err := a.index(ctx, as.logger); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// tar opens the archive's own file, or a file without a name with the tar of it. The
// caller closes it, unless it is shared.
func (as *Archives) tar(ctx context.Context, path string) (_ *os.File, shared bool, err error) {
	if path == Stdin {
		f, err := as.standardInput(ctx)
		return f, true, err
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, false, err
	}
	var start [startSize]byte
	n, err := f.ReadAt(start[:], 0)
	if err != nil && err != io.EOF {
		return nil, false, errors.Join(err, f.Close())
	}
	if compressionOf(start[:n]) == nil {
		return f, false, nil
	}
	defer closeInto(&err, f)
	unpacked, err := copyArchive(ctx, f, path, as.options)
	return unpacked, false, err
}

// openRegular opens a regular file. It opens no device and no pipe, for that may have
// effects or block.
func openRegular(path string) (*os.File, error) {
	f, err := fsat.OpenNamed(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, failure.Mark(failure.NotFound, err)
	case errors.Is(err, fsat.ErrNotRegular):
		return nil, failure.New(failure.Malformed, "%s is no regular file", path)
	}
	return f, err
}

// standardInput returns the tar from Options.Stdin, which it reads once.
func (as *Archives) standardInput(ctx context.Context) (*os.File, error) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.stdin != nil {
		return as.stdin, nil
	}
	if as.options.Stdin == nil {
		return nil, errkind.With(errkind.Usage, errors.New("there is no standard input to read an archive from"))
	}
	f, err := copyArchive(ctx, &patient{ctx: ctx, from: as.options.Stdin}, Name{Path: Stdin}.file(), as.options)
	as.stdin = f
	return f, err
}

// patient is a reader of what may block forever, such as a terminal. It stops when its
// context is done, and leaves a goroutine behind that still reads. It must not be read
// after that.
type patient struct {
	ctx  context.Context //nolint:containedctx // of the call that opened it
	from io.Reader
	buf  []byte
	done chan result
}

type result struct {
	n   int
	err error
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	if p.done == nil {
		p.buf, p.done = make([]byte, 64<<10), make(chan result, 1)
	}
	to := p.buf[:min(len(p.buf), len(b))]
	go func() {
		n, err := p.from.Read(to)
		p.done <- result{n, err}
	}()
	select {
	case r := <-p.done:
		return copy(b, to[:r.n]), r.err
	case <-p.ctx.Done():
		return 0, p.ctx.Err()
	}
}
