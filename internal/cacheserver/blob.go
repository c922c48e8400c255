// SPDX-License-Identifier: Apache-2.0

package cacheserver

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// piece is how many bytes of a blob are read, and held back, at a time.
const piece = 64 << 10

// blob serves a blob, or a range of it.
func (s *Server) blob(w http.ResponseWriter, r *http.Request, name, reference string) error {
	d, err := parseDigest(reference)
	if err != nil {
		return err
	}
	if !s.knows(name) {
		return errName
	}
	desc, err := s.cache.Find(d)
	if err != nil {
		return err
	}
	if !s.cache.Has(desc) { // something else than a regular file has its name
		return errBlob
	}
	w.Header().Set("Accept-Ranges", "bytes")
	off, n, is, err := wantedPart(r, desc)
	if err != nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", desc.Size))
		return err
	}
	if is {
		return s.part(w, r, desc, off, n)
	}
	if r.Method == http.MethodHead {
		describe(w, desc, "application/octet-stream")
		return nil
	}
	blob, err := s.cache.Blob(desc)
	if err != nil {
		return err
	}
	describe(w, desc, "application/octet-stream")
	if err := s.send(w, r, blob); err != nil {
		s.log.Warn("a blob was not sent whole", "digest", d, "error", err)
		_ = blob.Close()            // it was only read
		panic(http.ErrAbortHandler) // net/http breaks the connection: the client must not take the answer for complete
	}
	return blob.Close()
}

// part sends n bytes of a blob from off on. They are not verified.
func (s *Server) part(w http.ResponseWriter, r *http.Request, desc ocispec.Descriptor, off, n int64) error {
	part, err := s.cache.Part(desc, off, n)
	if err != nil {
		return err
	}
	describe(w, desc, "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, desc.Size))
	w.WriteHeader(http.StatusPartialContent)
	if r.Method == http.MethodHead {
		return part.Close()
	}
	if err := s.send(w, r, part); err != nil {
		_ = part.Close() // it was only read
		panic(http.ErrAbortHandler)
	}
	return part.Close()
}

// send sends a stream. It sends each piece after it has read the next one, and so the last
// one only after the stream has ended with io.EOF.
func (s *Server) send(w http.ResponseWriter, r *http.Request, from io.Reader) error {
	held, next := make([]byte, 0, piece), make([]byte, piece)
	for {
		n, err := io.ReadFull(from, next)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if len(held) > 0 {
			s.pace.wait(r.Context(), len(held))
			s.extend(w)
			if _, err := w.Write(held); err != nil {
				return err
			}
		}
		if n == 0 {
			return nil
		}
		held, next = next[:n], held[:piece]
	}
}

// wantedPart returns the range of a blob that a request asks for. is is false if it asks
// for the whole blob, as it also does by several ranges, by an invalid one, and by an
// If-Range that is not the blob's ETag (RFC 9110, 14.2).
func wantedPart(r *http.Request, desc ocispec.Descriptor) (off, n int64, is bool, err error) {
	text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if tag := r.Header.Get("If-Range"); !ok || tag != "" && tag != `"`+desc.Digest.String()+`"` {
		return 0, 0, false, nil
	}
	from, to, ok := strings.Cut(text, "-")
	if !ok || strings.Contains(to, ",") {
		return 0, 0, false, nil
	}
	last := desc.Size - 1
	if from == "" {
		n, bad := strconv.ParseUint(to, 10, 62)
		if bad != nil {
			return 0, 0, false, nil
		}
		off = max(desc.Size-int64(n), 0)
		if n == 0 {
			off = desc.Size
		}
	} else {
		begin, bad := strconv.ParseUint(from, 10, 62)
		if bad != nil {
			return 0, 0, false, nil
		}
		off = int64(begin)
		if to != "" {
			end, bad := strconv.ParseUint(to, 10, 62)
			if bad != nil || int64(end) < off {
				return 0, 0, false, nil
			}
			last = min(last, int64(end))
		}
	}
	if off > last {
		return 0, 0, false, errRange
	}
	return off, last - off + 1, true, nil
}
