// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"context"
	"io"
	"os"
)

// Await returns what f returns, or the context's cause once the context is done. It is
// for an open, a read or a write of a pipe or a terminal, which may block for ever and
// which no context ends. Such an f goes on in a goroutine until the process ends.
// If the context is done already, f is not called, so that no part of its output appears.
func Await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	if ctx.Err() != nil {
		var none T
		return none, context.Cause(ctx)
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// Output is a file such as standard output. A write that blocks ends with the context.
type Output struct {
	file  *os.File
	await func(write func() (int, error)) (int, error)
}

// NewOutput returns an Output that writes to file.
func NewOutput(ctx context.Context, file *os.File) *Output {
	return &Output{file, func(write func() (int, error)) (int, error) { return Await(ctx, write) }}
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	return o.await(func() (int, error) { return o.file.Write(b) })
}

// Fd returns the file's descriptor.
func (o *Output) Fd() uintptr { return o.file.Fd() }

// Input is a reader whose reads end with the context. It reads into memory of its own,
// because a read that was given up may still write there.
type Input struct {
	read func([]byte) (int, error)
}

// NewInput returns an Input that reads from r.
func NewInput(ctx context.Context, r io.Reader) *Input {
	return &Input{func(b []byte) (int, error) {
		own, err := Await(ctx, func() ([]byte, error) {
			own := make([]byte, min(len(b), 64<<10))
			n, err := r.Read(own)
			return own[:n], err
		})
		return copy(b, own), err
	}}
}

// Read implements io.Reader.
func (i *Input) Read(b []byte) (int, error) { return i.read(b) }
