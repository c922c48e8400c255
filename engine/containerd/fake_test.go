// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	containers "github.com/containerd/containerd/api/services/containers/v1"
	content "github.com/containerd/containerd/api/services/content/v1"
	images "github.com/containerd/containerd/api/services/images/v1"
	introspection "github.com/containerd/containerd/api/services/introspection/v1"
	leases "github.com/containerd/containerd/api/services/leases/v1"
	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// fake is an engine in memory, with snapshots on the disk and a collector that
// comes whenever a lease or an image goes.
type fake struct {
	snapshotter string         // its only one
	demands     bool           // metadata of a layer that there is none of
	leftBehind  bool           // a directory of a snapshot without a record is there
	inTheWay    string         // for whom it was removed
	dir         string         // of the socket
	disk        string         // of the snapshots
	store       string         // of the blobs; "" keeps them in memory only
	mounts      []*types.Mount // instead of those of new snapshots
	plugins     []*introspection.Plugin
	// call is asked before each call with its number; an error before it acts is
	// a call that did not come, one after it an answer that got lost.
	call func(n int) (before, after error)

	mu        sync.Mutex
	calls     int
	serial    int
	methods   []string
	watching  bool           // what is synced
	synced    map[string]int // how much each snapshot's directory had when the last sync began
	early     int            // commits before a sync
	snapshots map[string]*snapshot
	blobs     map[string]*blob
	images    map[string]*images.Image
	leases    map[string]*fakeLease
	running   []*containers.Container
}

type snapshot struct {
	parent    string
	committed bool
	labels    map[string]string
	dir       string
}

type blob struct {
	bytes  []byte
	labels map[string]string
}

type fakeLease struct {
	labels    map[string]string
	resources map[string]bool // "content DIGEST", "snapshots/overlayfs KEY"
}

// The services of the fake.
type (
	fakeImages struct {
		images.UnimplementedImagesServer
		*fake
	}
	fakeContent struct {
		content.UnimplementedContentServer
		*fake
	}
	fakeLeases struct {
		leases.UnimplementedLeasesServer
		*fake
	}
	fakeSnapshots struct {
		snapshots.UnimplementedSnapshotsServer
		*fake
	}
	fakeContainers struct {
		containers.UnimplementedContainersServer
		*fake
	}
	fakeInformation struct {
		introspection.UnimplementedIntrospectionServer
		*fake
	}
)

// newFake serves an engine on a socket.
func newFake(t *testing.T, dir string, rebase bool) *fake {
	f := &fake{
		dir: dir, disk: dir, snapshotter: Snapshotter, snapshots: map[string]*snapshot{}, blobs: map[string]*blob{}, images: map[string]*images.Image{}, leases: map[string]*fakeLease{},
		call:    func(int) (error, error) { return nil, nil },
		plugins: []*introspection.Plugin{{Type: "io.containerd.snapshotter.v1", ID: "overlayfs"}, {Type: "io.containerd.grpc.v1", ID: "cri"}},
	}
	if rebase {
		f.plugins[0].Capabilities = []string{"rebase"}
	}
	listener, err := net.Listen("unix", f.socket())
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(f.unary), grpc.StreamInterceptor(f.stream))
	images.RegisterImagesServer(server, fakeImages{fake: f})
	content.RegisterContentServer(server, fakeContent{fake: f})
	leases.RegisterLeasesServer(server, fakeLeases{fake: f})
	snapshots.RegisterSnapshotsServer(server, fakeSnapshots{fake: f})
	containers.RegisterContainersServer(server, fakeContainers{fake: f})
	introspection.RegisterIntrospectionServer(server, fakeInformation{fake: f})
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	t.Cleanup(server.Stop)
	return f
}

// keepBlobs has the blobs in a directory.
func (f *fake) keepBlobs(dir string) {
	f.store = dir
	f.plugins = append(f.plugins, &introspection.Plugin{Type: "io.containerd.content.v1", ID: "content", Exports: map[string]string{"root": dir}})
}

func (f *fake) socket() string { return filepath.Join(f.dir, "c.sock") }

// ask has call asked before each call from now on, the first of which is 1; nil lets
// them all act.
func (f *fake) ask(call func(n int) (before, after error)) {
	if call == nil {
		call = func(int) (before, after error) { return nil, nil }
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.call = 0, call
}

// reached says whether there were n calls since then.
func (f *fake) reached(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls >= n
}

func (f *fake) count(method string) (before, after error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	f.methods = append(f.methods, method[strings.LastIndex(method, "/")+1:])
	return f.call(f.calls)
}

func (f *fake) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	before, after := f.count(info.FullMethod)
	if before != nil {
		return nil, before
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	answer, err := next(ctx, req)
	if after != nil {
		return nil, after
	}
	return answer, err
}

func (f *fake) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	before, after := f.count(info.FullMethod)
	if before != nil {
		return before
	}
	err := next(srv, s)
	if after != nil {
		return after
	}
	return err
}

// held is the lease that a call works under.
func (f *fake) held(ctx context.Context) *fakeLease {
	md, _ := metadata.FromIncomingContext(ctx)
	if id := md.Get("containerd-lease"); len(id) > 0 && f.leases[id[0]] != nil {
		return f.leases[id[0]]
	}
	return &fakeLease{resources: map[string]bool{}}
}

// refused says that the lease that a call works under is gone.
func (f *fake) refused(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if id := md.Get("containerd-lease"); len(id) > 0 && f.leases[id[0]] == nil {
		return missing("lease " + id[0])
	}
	return nil
}

func missing(what string) error { return status.Error(codes.NotFound, what+" not found") }
func exists(what string) error  { return status.Error(codes.AlreadyExists, what+" already exists") }

func (f fakeInformation) Plugins(context.Context, *introspection.PluginsRequest) (*introspection.PluginsResponse, error) {
	return &introspection.PluginsResponse{Plugins: f.plugins}, nil
}

func (f fakeContainers) ListStream(_ *containers.ListContainersRequest, to containers.Containers_ListStreamServer) error {
	for _, c := range f.running {
		if err := to.Send(&containers.ListContainerMessage{Container: c}); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) collect() {
	keep := map[string]bool{}
	var walk func(kind, id string)
	walk = func(kind, id string) {
		if keep[kind+id] {
			return
		}
		keep[kind+id] = true
		if b := f.blobs[id]; kind == "content" && b != nil {
			for key, to := range b.labels {
				switch {
				case strings.HasPrefix(key, "containerd.io/gc.ref.content."):
					walk("content", to)
				case key == "containerd.io/gc.ref.snapshot."+f.snapshotter:
					walk("snapshot", to)
				}
			}
		}
		if s := f.snapshots[id]; kind == "snapshot" && s != nil && s.parent != "" {
			walk("snapshot", s.parent)
		}
	}
	for _, i := range f.images {
		walk("content", i.Target.Digest)
	}
	for _, l := range f.leases {
		for r := range l.resources {
			kind, id, _ := strings.Cut(r, " ")
			if kind == "snapshots/"+f.snapshotter {
				kind = "snapshot"
			}
			walk(kind, id)
		}
	}
	maps.DeleteFunc(f.blobs, func(id string, _ *blob) bool { return !keep["content"+id] })
	maps.DeleteFunc(f.snapshots, func(id string, _ *snapshot) bool { return !keep["snapshot"+id] })
}

// The images.

func (f fakeImages) Get(_ context.Context, r *images.GetImageRequest) (*images.GetImageResponse, error) {
	if i := f.images[r.Name]; i != nil {
		return &images.GetImageResponse{Image: i}, nil
	}
	return nil, missing(r.Name)
}

// complete says whether the image could be started.
func (f *fake) complete(i *images.Image) error {
	want := []string{i.Target.Digest}
	for len(want) > 0 {
		b := f.blobs[want[0]]
		if b == nil {
			return fmt.Errorf("%s is not there", want[0])
		}
		if f.store != "" {
			if _, err := os.Stat(f.blob(want[0])); err != nil {
				return err
			}
		}
		want = want[1:]
		for key, to := range b.labels {
			if strings.HasPrefix(key, "containerd.io/gc.ref.content.") {
				want = append(want, to)
			}
			if key == "containerd.io/gc.ref.snapshot."+f.snapshotter && (f.snapshots[to] == nil || !f.snapshots[to].committed) {
				return fmt.Errorf("snapshot %s is not there", to)
			}
		}
	}
	return nil
}

func (f fakeImages) Create(_ context.Context, r *images.CreateImageRequest) (*images.CreateImageResponse, error) {
	if f.images[r.Image.Name] != nil {
		return nil, exists(r.Image.Name)
	}
	f.images[r.Image.Name] = r.Image
	return &images.CreateImageResponse{Image: r.Image}, nil
}

func (f fakeImages) Update(_ context.Context, r *images.UpdateImageRequest) (*images.UpdateImageResponse, error) {
	i := f.images[r.Image.Name]
	if i == nil {
		return nil, missing(r.Image.Name)
	}
	if r.Image.Target == nil {
		return nil, status.Error(codes.Unavailable, "the engine panics")
	}
	for _, p := range r.UpdateMask.Paths {
		key, isLabel := strings.CutPrefix(p, "labels.")
		switch {
		case p == "target":
			i.Target = r.Image.Target
		case isLabel && r.Image.Labels[key] == "":
			delete(i.Labels, key)
		case isLabel:
			i.Labels[key] = r.Image.Labels[key]
		}
	}
	return &images.UpdateImageResponse{Image: i}, nil
}

func (f fakeImages) Delete(_ context.Context, r *images.DeleteImageRequest) (*emptypb.Empty, error) {
	if f.images[r.Name] == nil {
		return nil, missing(r.Name)
	}
	delete(f.images, r.Name)
	f.collect()
	return &emptypb.Empty{}, nil
}

// The leases.

func (f fakeLeases) Create(_ context.Context, r *leases.CreateRequest) (*leases.CreateResponse, error) {
	if f.leases[r.ID] != nil {
		return nil, exists(r.ID)
	}
	f.leases[r.ID] = &fakeLease{labels: r.Labels, resources: map[string]bool{}}
	return &leases.CreateResponse{Lease: &leases.Lease{ID: r.ID}}, nil
}

func (f fakeLeases) Delete(_ context.Context, r *leases.DeleteRequest) (*emptypb.Empty, error) {
	if f.leases[r.ID] == nil {
		return nil, missing(r.ID)
	}
	delete(f.leases, r.ID)
	f.collect()
	return &emptypb.Empty{}, nil
}

func (f fakeLeases) List(context.Context, *leases.ListRequest) (*leases.ListResponse, error) {
	answer := &leases.ListResponse{}
	for id, l := range f.leases {
		answer.Leases = append(answer.Leases, &leases.Lease{ID: id, Labels: l.labels})
	}
	return answer, nil
}

func (f fakeLeases) AddResource(_ context.Context, r *leases.AddResourceRequest) (*emptypb.Empty, error) {
	l := f.leases[r.ID]
	if l == nil {
		return nil, missing(r.ID)
	}
	l.resources[r.Resource.Type+" "+r.Resource.ID] = true
	return &emptypb.Empty{}, nil
}

// The content.

func (f fakeContent) Write(stream content.Content_WriteServer) error {
	var got []byte
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		got = append(got[:r.Offset:r.Offset], r.Data...)
		f.mu.Lock()
		if err := f.refused(stream.Context()); err != nil {
			f.mu.Unlock()
			return err
		}
		if f.blobs[r.Expected] != nil {
			f.held(stream.Context()).resources["content "+r.Expected] = true
			f.mu.Unlock()
			return exists(r.Expected)
		}
		if r.Action == content.WriteAction_COMMIT {
			if digest.FromBytes(got).String() != r.Expected {
				f.mu.Unlock()
				return status.Error(codes.FailedPrecondition, "unexpected commit digest")
			}
			if err := f.keep(r.Expected, got); err != nil {
				f.mu.Unlock()
				return err
			}
			f.blobs[r.Expected] = &blob{got, maps.Clone(r.Labels)}
			f.held(stream.Context()).resources["content "+r.Expected] = true
		}
		f.mu.Unlock()
		if err := stream.Send(&content.WriteContentResponse{Action: r.Action}); err != nil || r.Action == content.WriteAction_COMMIT {
			return err
		}
	}
}

// keep writes a blob as engines do that sync the file, and not the directory that
// it comes into.
func (f *fake) keep(name string, content []byte) error {
	if f.store == "" {
		return nil
	}
	at, ingest := f.blob(name), filepath.Join(f.store, "ingest")
	err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(ingest, content, 0o600))
	if err == nil {
		err = fsync(ingest)
	}
	if err == nil {
		err = os.Rename(ingest, at)
	}
	return err
}

// blob is where a blob is on the disk.
func (f *fake) blob(name string) string {
	return filepath.Join(f.store, "blobs", strings.Replace(name, ":", "/", 1))
}

func fsync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (f fakeContent) Update(_ context.Context, r *content.UpdateRequest) (*content.UpdateResponse, error) {
	b := f.blobs[r.Info.Digest]
	if b == nil {
		return nil, missing(r.Info.Digest)
	}
	if b.labels == nil {
		b.labels = map[string]string{}
	}
	for _, p := range r.UpdateMask.Paths {
		key := strings.TrimPrefix(p, "labels.")
		b.labels[key] = r.Info.Labels[key]
	}
	return &content.UpdateResponse{Info: r.Info}, nil
}

// The snapshots.

func (f fakeSnapshots) Stat(_ context.Context, r *snapshots.StatSnapshotRequest) (*snapshots.StatSnapshotResponse, error) {
	s := f.snapshots[r.Key]
	if s == nil {
		return nil, missing(r.Key)
	}
	kind := snapshots.Kind_ACTIVE
	if s.committed {
		kind = snapshots.Kind_COMMITTED
	}
	return &snapshots.StatSnapshotResponse{Info: &snapshots.Info{Name: r.Key, Parent: s.parent, Kind: kind, Labels: s.labels}}, nil
}

// make makes a snapshot and its mounts.
func (f fakeSnapshots) make(ctx context.Context, key, parent string, labels map[string]string, view bool) ([]*types.Mount, error) {
	if err := f.refused(ctx); err != nil {
		return nil, err
	}
	switch {
	case f.leftBehind:
		f.leftBehind, f.inTheWay = false, key // it removes the path that it could not rename to
		return nil, status.Error(codes.Unknown, "failed to rename: rename snapshots/new-1 snapshots/1: file exists")
	case f.inTheWay != "" && f.inTheWay != key:
		return nil, status.Error(codes.Unknown, "the number of what is being removed was given again")
	case f.snapshots[key] != nil || f.snapshots[labels["containerd.io/snapshot.ref"]] != nil:
		return nil, exists(key)
	case parent != "" && (f.snapshots[parent] == nil || !f.snapshots[parent].committed):
		return nil, missing(parent)
	}
	f.inTheWay = ""
	f.serial++
	s := &snapshot{parent: parent, labels: labels, dir: filepath.Join(f.disk, fmt.Sprint(f.serial), "fs")}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	f.snapshots[key] = s
	f.held(ctx).resources["snapshots/"+f.snapshotter+" "+key] = true
	if f.mounts != nil {
		return f.mounts, nil
	}
	if f.snapshotter == Erofs {
		return f.makeErofs(s, view)
	}
	var lower []string
	for at := parent; at != ""; at = f.snapshots[at].parent {
		lower = append(lower, f.snapshots[at].dir)
	}
	switch {
	case view && len(lower) == 1:
		return []*types.Mount{{Type: "bind", Source: lower[0], Options: []string{"ro", "rbind"}}}, nil
	case view:
		return []*types.Mount{{Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + strings.Join(lower, ":")}}}, nil
	case len(lower) == 0:
		return []*types.Mount{{Type: "bind", Source: s.dir, Options: []string{"rw", "rbind"}}}, nil
	}
	return []*types.Mount{{Type: "overlay", Source: "overlay", Options: []string{"workdir=/nowhere", "upperdir=" + s.dir, "lowerdir=" + strings.Join(lower, ":")}}}, nil
}

func (f fakeSnapshots) Prepare(ctx context.Context, r *snapshots.PrepareSnapshotRequest) (*snapshots.PrepareSnapshotResponse, error) {
	m, err := f.make(ctx, r.Key, r.Parent, r.Labels, false)
	return &snapshots.PrepareSnapshotResponse{Mounts: m}, err
}

func (f fakeSnapshots) View(ctx context.Context, r *snapshots.ViewSnapshotRequest) (*snapshots.ViewSnapshotResponse, error) {
	m, err := f.make(ctx, r.Key, r.Parent, r.Labels, true)
	return &snapshots.ViewSnapshotResponse{Mounts: m}, err
}

func (f fakeSnapshots) Commit(ctx context.Context, r *snapshots.CommitSnapshotRequest) (*emptypb.Empty, error) {
	if err := f.refused(ctx); err != nil {
		return nil, err
	}
	s := f.snapshots[r.Key]
	switch {
	case s == nil:
		return nil, missing(r.Key)
	case f.snapshots[r.Name] != nil:
		return nil, exists(r.Name)
	case r.Parent != "" && (s.parent != "" || f.snapshots[r.Parent] == nil):
		return nil, status.Error(codes.InvalidArgument, "wrong parent")
	}
	if f.watching && f.synced[s.dir] != contents(s.dir) && !strings.HasPrefix(r.Name, "layerctl-probe-") {
		f.early++
	}
	s.committed = true
	if r.Parent != "" {
		s.parent = r.Parent
	}
	delete(f.snapshots, r.Key)
	f.snapshots[r.Name] = s
	held := f.held(ctx).resources
	delete(held, "snapshots/"+f.snapshotter+" "+r.Key)
	held["snapshots/"+f.snapshotter+" "+r.Name] = true
	return &emptypb.Empty{}, nil
}

func (f fakeSnapshots) Remove(_ context.Context, r *snapshots.RemoveSnapshotRequest) (*emptypb.Empty, error) {
	if f.snapshots[r.Key] == nil {
		return nil, missing(r.Key)
	}
	for _, s := range f.snapshots {
		if s.parent == r.Key {
			return nil, status.Error(codes.FailedPrecondition, "snapshot has child")
		}
	}
	delete(f.snapshots, r.Key)
	return &emptypb.Empty{}, nil
}
