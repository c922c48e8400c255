// SPDX-License-Identifier: Apache-2.0

package sortedview

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"math"
	"os"
	"strings"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/scratch"
	"github.com/layerctl/layerctl/layer"
)

// The kinds of errors.
var (
	// ErrMalformed says that a layer contradicts itself or the layers below it.
	ErrMalformed = errkind.New(errkind.Malformed, "malformed image")
	// ErrLimit says that the links need more memory than [Options].Memory.
	ErrLimit = errkind.New(errkind.Malformed, "image exceeds a limit")
)

// Options say how a view is made.
type Options struct {
	// Dir is the directory for temporary files without a name.
	Dir string
	// Sorted is how many bytes are sorted at once in memory; 0 means 2 MiB.
	Sorted int
	// Memory bounds the bytes of memory for files with several names and for links
	// into lower layers; 0 means 64 MiB.
	Memory int64
	// Alone is for one layer by itself. The view then has the layer's whiteouts, and
	// Opaque is set for its opaque directories. Implied directories have the
	// attributes of those without an entry. A link into lower layers is a whiteout,
	// or missing in an opaque directory.
	Alone bool
}

// View is a merged stack of layers. It is for one goroutine.
type View struct {
	options Options
	sorter  sorter
	aside   aside
	layers  uint32
	links   []link
	several map[uint64]struct{} // the files that may have several names
	kept    int64               // bytes that count against Options.Memory
	seeds   [2]maphash.Seed
	ready   bool
}

// New returns a view without layers. The caller closes it.
func New(o Options) *View {
	if o.Sorted == 0 {
		o.Sorted = 2 << 20
	}
	if o.Memory == 0 {
		o.Memory = 64 << 20
	}
	return &View{
		options: o, sorter: sorter{dir: o.Dir, most: o.Sorted}, aside: aside{dir: o.Dir},
		several: map[uint64]struct{}{}, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

// Close removes the view's temporary files.
func (v *View) Close() error { return errors.Join(v.sorter.close(), v.aside.close()) }

// keep counts n bytes against Options.Memory.
func (v *View) keep(n int) error {
	if v.kept += int64(n); v.kept > v.options.Memory {
		return fmt.Errorf("%w of %d bytes of memory for its links", ErrLimit, v.options.Memory)
	}
	return nil
}

// The numbers of records that are facts, which come after those of the journal.
const (
	lastSeq    = math.MaxUint32 - 3
	opaqueSeq  = math.MaxUint32 - 2
	bareSeq    = math.MaxUint32 - 1
	foreignSeq = math.MaxUint32
)

// Add adds a layer on top of those before it, by its journal and its facts. It reads a
// journal with hard links twice from the beginning. The error is that of the journal,
// of the context or of the disk, or [ErrMalformed] or [ErrLimit].
func (v *View) Add(ctx context.Context, journal iter.Seq2[layer.Entry, error], facts layer.Facts) error {
	l := adding{v: v, ctx: ctx, journal: journal, number: v.layers}
	v.layers++
	if err := l.records(); err != nil {
		return err
	}
	if len(l.targets) > 0 {
		if err := l.hardlinks(); err != nil {
			return err
		}
	}
	return l.facts(facts)
}

// adding is a layer that is being added.
type adding struct {
	v       *View
	ctx     context.Context
	journal iter.Seq2[layer.Entry, error]
	number  uint32
	targets map[pathHash]fileRef // the targets of its hard links; no kind until a target is known
	body    []byte
}

// pathHash stands for a path: two hashes of 64 bits with random seeds.
type pathHash [2]uint64

func (v *View) hash(path string) pathHash {
	return pathHash{maphash.String(v.seeds[0], path), maphash.String(v.seeds[1], path)}
}

// each calls f with each record of the journal.
func (l *adding) each(f func(seq uint32, e *layer.Entry) error) error {
	seq := uint32(0)
	for e, err := range l.journal {
		if err == nil {
			err = l.ctx.Err()
		}
		if err == nil && (seq == lastSeq || strings.IndexByte(e.Path, 0) >= 0) {
			err = fmt.Errorf("%w: %.200q has a NUL, or is one path too many", ErrMalformed, e.Path)
		}
		if err == nil {
			err = f(seq, &e)
		}
		if err != nil {
			return err
		}
		seq++
	}
	return nil
}

func (l *adding) add(path string, seq uint32, kind layer.Type, body []byte) error {
	return l.v.sorter.add(&record{key: []byte(keyOf(path)), layer: l.number, seq: seq, kind: kind, body: body})
}

// records adds all records except hard links, whose targets it notes.
func (l *adding) records() error {
	return l.each(func(seq uint32, e *layer.Entry) error {
		if e.Type != layer.Hardlink {
			l.body = appendBody(l.body[:0], e)
			return l.add(e.Path, seq, e.Type, l.body)
		}
		if l.targets == nil {
			l.targets = map[pathHash]fileRef{}
		}
		target := l.v.hash(e.Linkname)
		if _, known := l.targets[target]; known {
			return nil
		}
		l.targets[target] = fileRef{}
		return l.v.keep(100)
	})
}

// hardlinks adds the hard links, each with the file that it is a name of.
func (l *adding) hardlinks() error {
	v := l.v
	return l.each(func(seq uint32, e *layer.Entry) error {
		var ref fileRef
		own := v.hash(e.Path)
		_, wanted := l.targets[own]
		switch e.Type {
		case layer.Hardlink:
			if ref = l.targets[v.hash(e.Linkname)]; ref.kind == 0 {
				return fmt.Errorf("%w: %.200q is a hardlink to %.200q, which comes later", ErrMalformed, e.Path, e.Linkname)
			}
			if err := v.share(ref); err != nil {
				return err
			}
			l.body = ref.append(l.body[:0])
			if err := l.add(e.Path, seq, e.Type, l.body); err != nil {
				return err
			}
		case layer.Regular, layer.Symlink, layer.CharDevice, layer.BlockDevice, layer.FIFO:
			if !wanted {
				return nil
			}
			at, err := v.aside.add(appendBody(l.body[:0], e))
			if err != nil {
				return err
			}
			ref = fileRef{l.number, seq, e.Type, at}
		}
		if wanted {
			l.targets[own] = ref
		}
		return nil
	})
}

// share notes that a file may have several names.
func (v *View) share(ref fileRef) error {
	if _, known := v.several[ref.id()]; known {
		return nil
	}
	v.several[ref.id()] = struct{}{}
	return v.keep(50)
}

// facts adds the layer's facts as records.
func (l *adding) facts(f layer.Facts) error {
	if f.RootOpaque {
		if err := l.add(".", opaqueSeq, layer.OpaqueMark, []byte{bitMarked}); err != nil {
			return err
		}
	}
	if l.v.options.Alone {
		return nil
	}
	for _, dir := range f.Implied {
		if !dir.Bare {
			continue
		}
		if err := l.add(string(dir.Path), bareSeq, bareDir, nil); err != nil {
			return err
		}
	}
	for _, to := range f.ForeignLinks {
		if f.RootOpaque {
			return hidden(string(to.Path), string(to.Target))
		}
		body := binary.AppendUvarint(nil, uint64(len(l.v.links)))
		l.v.links = append(l.v.links, link{layer: l.number, path: string(to.Path), target: string(to.Target)})
		if err := l.v.keep(150 + len(to.Path) + len(to.Target)); err != nil {
			return err
		}
		if err := l.add(string(to.Path), foreignSeq, foreign, body); err != nil {
			return err
		}
	}
	return nil
}

func hidden(path, target string) error {
	return fmt.Errorf("%w: %.200q is a hardlink to %.200q, which the layer hides", ErrMalformed, path, target)
}

// aside keeps the bodies of files with several names, in memory while they are few,
// and else in a file.
type aside struct {
	dir  string
	buf  []byte
	file *os.File
	at   int64 // the offset of buf in the file
}

const asideBuffer = 128 << 10

// add keeps a body and returns where it is.
func (a *aside) add(body []byte) (at int64, err error) {
	if len(a.buf) > 0 && len(a.buf)+len(body) > asideBuffer {
		if a.file == nil {
			if a.file, err = scratch.Open(a.dir); err != nil {
				return 0, err
			}
		}
		if _, err := (&scratch.Keeping{File: a.file}).Write(a.buf); err != nil {
			return 0, err
		}
		a.at += int64(len(a.buf))
		a.buf = a.buf[:0]
	}
	at = a.at + int64(len(a.buf))
	a.buf = binary.LittleEndian.AppendUint32(a.buf, uint32(len(body)))
	a.buf = append(a.buf, body...)
	return at, nil
}

// get returns the body at a place that add returned.
func (a *aside) get(at int64) ([]byte, error) {
	if at >= a.at {
		b := a.buf[at-a.at:]
		return b[4 : 4+binary.LittleEndian.Uint32(b)], nil
	}
	var buf [512]byte
	n, err := a.file.ReadAt(buf[:], at)
	if n < 4 {
		return nil, errors.Join(errors.New("a temporary file was changed"), err)
	}
	size := int(binary.LittleEndian.Uint32(buf[:]))
	body := append(make([]byte, 0, size), buf[4:min(n, 4+size)]...)
	if len(body) == size {
		return body, nil
	}
	_, err = a.file.ReadAt(body[len(body):size], at+4+int64(len(body)))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return body[:size], err
}

func (a *aside) close() error {
	if a.file == nil {
		return nil
	}
	return a.file.Close()
}
