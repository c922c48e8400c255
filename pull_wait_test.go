// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/progress"
)

// claimed is an image whose layers another holds, who never brings them.
func claimed(t *testing.T) (s *cached, held []*overlaystore.Staging) {
	t.Helper()
	s = newCached(t, Options{})
	s.client.measured.Patience = time.Millisecond
	for _, diffID := range diffIDsOf(t, s) {
		st, err := s.store.TryStage(t.Context(), diffID)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, st)
	}
	return s, held
}

func TestClaimOfALayerHoldsNobodyUp(t *testing.T) {
	s, held := claimed(t)
	pulled, _ := s.pull(t, s.ref)
	if pulled.Fetched != len(held) {
		t.Errorf("fetched %d layers, want %d", pulled.Fetched, len(held))
	}
	for _, st := range held {
		if err := st.Discard(); err != nil {
			t.Fatal(err)
		}
	}
	if again, _ := s.pull(t, s.ref); again.Fetched != 0 {
		t.Errorf("fetched %d layers again", again.Fetched)
	}
}

// The one that is slow and honest ends well too.
func TestSlowPullEndsAfterAFasterOne(t *testing.T) {
	s := newCached(t, Options{})
	s.client.measured.Patience = time.Millisecond
	slow, reached := make(chan struct{}), make(chan struct{})
	other := New(s.client.options)
	other.options.Jobs = 1
	first := true
	other.options.Progress = func(e Event) {
		if e.Kind == progress.LayerProgress && first {
			first = false
			close(reached)
			<-slow
		}
	}
	ended := make(chan error, 1)
	go func() {
		_, err := other.Pull(t.Context(), s.store, s.ref)
		ended <- err
	}()
	<-reached
	s.pull(t, s.ref)
	close(slow)
	if err := <-ended; err != nil {
		t.Errorf("the slow pull: %v", err)
	}
}

// Who has what another has begun lets its own go.
func TestTheFirstToBringALayerWins(t *testing.T) {
	s := newCached(t, Options{})
	s.client.measured.Patience = time.Millisecond
	reached, bring := make(chan struct{}), make(chan struct{})
	holder := New(s.client.options)
	holder.options.Jobs = 1
	begun := false
	holder.options.Progress = func(e Event) {
		if e.Kind == progress.LayerProgress && !begun {
			begun = true
			close(reached)
			<-bring
		}
	}
	ended := make(chan error, 1)
	go func() {
		_, err := holder.Pull(t.Context(), s.store, s.ref)
		ended <- err
	}()
	<-reached
	var kinds []progress.Kind
	waited := false
	s.client.options.Progress = func(e Event) {
		kinds = append(kinds, e.Kind)
		if e.Kind == progress.LayerProgress && !waited {
			waited = true // it fetches beside: now the other one brings it
			close(bring)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	s.client.options.Jobs = 1
	if pulled, _ := s.pull(t, s.ref); pulled.Image.Manifest != s.image.Digest {
		t.Errorf("pulled %s", pulled.Image.Manifest)
	}
	if !slices.Contains(kinds, progress.LayerWaiting) {
		t.Errorf("events %v", kinds)
	}
}

// diffIDsOf are those of the image that s serves.
func diffIDsOf(t *testing.T, s *cached) (ids []digest.Digest) {
	t.Helper()
	opened, err := s.client.open(t.Context(), s.ref)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	r, err := opened.Resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	image, err := opened.Image(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return image.DiffIDs()
}

// TestPullTellsOfItsLayers: who hears of layers may use the sync that comes after
// the last.
func TestPullTellsOfItsLayers(t *testing.T) {
	var came, synced, before atomic.Int32
	var layers []digest.Digest
	ended := false
	s := newCached(t, Options{Layers: func(_ context.Context, list []digest.Digest) (Taker, error) {
		layers = list
		all := func(context.Context) {
			ended = true
			before.Store(synced.Load()) // of what was written behind
			if int(came.Load()) != len(list) {
				t.Errorf("%d of %d layers came", came.Load(), len(list))
			}
		}
		return Taker{Came: func(digest.Digest, *os.File) { came.Add(1) }, All: all}, nil
	}})
	ctx := durable.WithFault(t.Context(), func(op string) error {
		if op == "syncfs" {
			synced.Add(1)
		}
		return nil
	})
	if _, err := s.client.Pull(ctx, s.store, s.ref); err != nil {
		t.Fatal(err)
	}
	if !ended || !slices.Equal(layers, diffIDsOf(t, s)) || synced.Load() == before.Load() {
		t.Errorf("layers %v, told of the end: %v, %d syncs", layers, ended, synced.Load())
	}
}
