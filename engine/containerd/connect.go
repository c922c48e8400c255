// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	content "github.com/containerd/containerd/api/services/content/v1"
	images "github.com/containerd/containerd/api/services/images/v1"
	introspection "github.com/containerd/containerd/api/services/introspection/v1"
	leases "github.com/containerd/containerd/api/services/leases/v1"
	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
	"github.com/layerctl/layerctl/engine/containerd/internal/imagename"
	"github.com/layerctl/layerctl/engine/containerd/internal/lease"
	"github.com/layerctl/layerctl/errkind"
)

// DefaultAddress is the socket where [Options].Address is empty.
const DefaultAddress = "/run/containerd/containerd.sock"

// Snapshotter is the snapshotter where [Options].Snapshotter is empty.
const Snapshotter = "overlayfs"

// Erofs is the other snapshotter that is supported. Its layers are files with a
// filesystem, as a store of tars can make them.
const Erofs = "erofs"

// ErrUnsupported says that this engine cannot take images of this store.
var ErrUnsupported = failure.ErrUnsupported

// errForeign says that another client has given a name in the engine to another
// image.
var errForeign = errkind.New(errkind.Busy, "belongs to another client")

// Options say which engine is meant. The zero value is containerd's own socket.
type Options struct {
	// Address is the path of the socket; "" means [DefaultAddress].
	Address string
	// Namespace is containerd's; "" means k8s.io where it serves Kubernetes,
	// and else default.
	Namespace string
	// Snapshotter is the one in which snapshots are made; "" means [Snapshotter],
	// and any other but [Erofs] is refused.
	Snapshotter string
	// Logger is told each step; nil is silent.
	Logger *slog.Logger
}

// Engine is a connection to containerd. Several goroutines may use it.
type Engine struct {
	at     Options
	conn   *grpc.ClientConn
	pid    atomic.Int32 // of the process that listens
	rebase bool         // the snapshotter takes the parent at Commit
	cri    bool         // it serves Kubernetes
	blobs  string       // the directory of the content store; "" where it is unknown
	log    *slog.Logger

	content     content.ContentClient
	images      imagename.Client
	leases      lease.Client
	snapshots   snapshots.SnapshotsClient
	information introspection.IntrospectionClient
}

// patience is how long one call may take. The engine answers no call while its
// collector works.
const patience = 2 * time.Minute

// Connect connects to the engine and asks for its plugins. The error is
// [ErrUnsupported] where it lacks what is needed, and an [errkind.Network] where it
// does not answer.
func Connect(ctx context.Context, o Options) (*Engine, error) {
	o.Address = cmp.Or(o.Address, DefaultAddress)
	o.Snapshotter = cmp.Or(o.Snapshotter, Snapshotter)
	if path, err := filepath.Abs(o.Address); err == nil {
		o.Address = path // records of what was given name the engine by it
	}
	e := &Engine{at: o, log: o.Logger}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if err := e.connect(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to containerd at %q: %w", o.Address, err), e.Close())
	}
	return e, nil
}

func (e *Engine) connect(ctx context.Context) (err error) {
	if _, err := os.Stat(e.at.Address); errors.Is(err, fs.ErrNotExist) {
		return errkind.With(errkind.Network, errors.New("there is no such socket; does it run?"))
	}
	e.conn, err = grpc.NewClient("passthrough:///containerd",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(e.dial), grpc.WithNoProxy(),
		grpc.WithUnaryInterceptor(bounded))
	if err != nil {
		return err
	}
	e.content = content.NewContentClient(e.conn)
	e.images = imagename.Client{API: images.NewImagesClient(e.conn), In: e.in}
	e.leases = lease.Client{
		API: leases.NewLeasesClient(e.conn), Patience: patience,
		In: func(ctx context.Context) context.Context { return e.in(ctx, "") },
	}
	e.snapshots = snapshots.NewSnapshotsClient(e.conn)
	e.information = introspection.NewIntrospectionClient(e.conn)
	return e.survey(ctx)
}

// bounded ends a call that the engine does not answer for long.
func bounded(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return invoke(ctx, method, req, reply, cc, opts...)
}

// dial connects to the socket and notes which process listens there.
func (e *Engine) dial(ctx context.Context, _ string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", e.at.Address)
	if err != nil {
		return nil, err
	}
	if raw, err := conn.(*net.UnixConn).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
				e.pid.Store(peer.Pid)
			}
		})
	}
	return conn, nil
}

// Close ends the connection.
func (e *Engine) Close() error {
	if e.conn == nil {
		return nil
	}
	return e.conn.Close()
}

// Address is the path of the engine's socket.
func (e *Engine) Address() string { return e.at.Address }

// Snapshotter is the engine's snapshotter that is used.
func (e *Engine) Snapshotter() string { return e.at.Snapshotter }

func (e *Engine) erofs() bool { return e.at.Snapshotter == Erofs }

// Namespace is the engine's namespace that is used.
func (e *Engine) Namespace() string { return e.at.Namespace }

// survey asks which plugins the engine has.
func (e *Engine) survey(ctx context.Context) error {
	answer, err := e.information.Plugins(ctx, &introspection.PluginsRequest{})
	if err != nil {
		return failure.Explain(err)
	}
	var found *introspection.Plugin
	var others []string
	for _, p := range answer.Plugins {
		broken := p.InitErr != nil
		switch {
		case isSnapshotter(p.Type) && p.ID == e.at.Snapshotter && !broken:
			found = p
		case isSnapshotter(p.Type) && !broken:
			others = append(others, p.ID)
		case p.ID == "cri" && !broken:
			e.cri = true
		case p.Type == "io.containerd.content.v1" && p.ID == "content" && !broken:
			e.blobs = p.Exports["root"]
		}
	}
	if e.at.Namespace == "" {
		e.at.Namespace = "default"
		if e.cri {
			e.at.Namespace = kubernetes
		}
	}
	if e.at.Snapshotter != Snapshotter && !e.erofs() {
		return fmt.Errorf("snapshotter %.100q %w: only %s takes a layer as a directory, and %s as a file", e.at.Snapshotter, ErrUnsupported, Snapshotter, Erofs)
	}
	if found == nil {
		return fmt.Errorf("%w: it has no snapshotter %s, but %.200q", ErrUnsupported, e.at.Snapshotter, others)
	}
	e.rebase = slices.Contains(found.Capabilities, "rebase")
	return nil
}

// isSnapshotter knows the old and the new name of that type of plugin.
func isSnapshotter(kind string) bool {
	return kind == "io.containerd.snapshotter.v1" || kind == "io.containerd.snapshotter.v2"
}

// kubernetes is the namespace that CRI uses.
const kubernetes = "k8s.io"

// in adds to ctx the namespace of a call and its lease, "" for none.
func (e *Engine) in(ctx context.Context, lease string) context.Context {
	ctx = metadata.AppendToOutgoingContext(ctx, "containerd-namespace", e.at.Namespace)
	if lease != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "containerd-lease", lease)
	}
	return ctx
}
