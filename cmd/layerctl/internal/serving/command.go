// SPDX-License-Identifier: Apache-2.0

// Package serving has the command serve, which serves the cache to other nodes.
package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/net/netutil"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/cacheserver"
)

// Command returns the command serve.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "serve the cache as a read-only registry, for the other nodes of a site",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:5050", Usage: "listen at `HOST:PORT`; only this machine reaches the default"},
			&cli.StringFlag{Name: "tls-cert", DefaultText: "plain HTTP", Usage: "speak TLS with the certificate, and those that vouch for it, of the PEM `FILE`"},
			&cli.StringFlag{Name: "tls-key", DefaultText: "none", Usage: "take its key from the PEM `FILE`"},
			&cli.StringFlag{Name: "htpasswd", DefaultText: "everybody", Usage: "let only users of `FILE` ask, as 'htpasswd -B' writes it"},
			&cli.IntFlag{Name: "max-connections", Value: 64, Usage: "serve `N` connections at a time; others wait"},
		},
		Action: runServe,
	}
}

func runServe(c *cli.Context) (err error) {
	if err := setup.NoArguments(c); err != nil {
		return err
	}
	most := c.Int("max-connections")
	if most < 1 {
		return &args.UsageError{Problem: fmt.Sprintf("--max-connections %d serves nobody", most)}
	}
	secure, err := secured(c)
	if err != nil {
		return err
	}
	o := cacheserver.Options{Rate: setup.Size(c, "limit-rate"), Logger: setup.Logger(c)}
	if o.Users, err = users(c.String("htpasswd")); err != nil {
		return err
	}
	kept, err := open(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, kept) }()
	var config net.ListenConfig
	listener, err := config.Listen(c.Context, "tcp", c.String("listen"))
	if err != nil {
		return cannotListen(c.String("listen"), err)
	}
	at := listener.Addr()
	listener = netutil.LimitListener(listener, most)
	scheme := "http"
	if secure != nil {
		listener, scheme = tls.NewListener(listener, secure), "https"
	}
	tell(c, at, scheme)
	return serve(c.Context, listener, cacheserver.New(kept, o))
}

// cannotListen says whose fault it is that nothing can listen there.
func cannotListen(at string, err error) error {
	var address *net.AddrError
	var name *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return errkind.With(errkind.Busy, fmt.Errorf("serve: %w", err))
	case errors.As(err, &address), errors.As(err, &name), errors.Is(err, syscall.EADDRNOTAVAIL):
		return &args.UsageError{Problem: fmt.Sprintf("--listen %s: %v", at, err), Advice: "it is an address of this machine and a port, or :PORT for all its addresses"}
	default:
		return fmt.Errorf("serve: %w", err)
	}
}

// tell prints where the server listens, and warns of passwords without TLS.
func tell(c *cli.Context, at net.Addr, scheme string) {
	console := terminal.NewConsole(c.App.ErrWriter)
	if !c.Bool("quiet") {
		console.Say("serving at %s://%s", scheme, at)
	}
	tcp, ok := at.(*net.TCPAddr)
	if !c.Bool("quiet") && scheme == "http" && c.String("htpasswd") != "" && ok && !tcp.IP.IsLoopback() {
		console.Warn("passwords cross the network in the clear without --tls-cert")
	}
}

// The bounds of a connection.
const (
	headerTime  = 10 * time.Second
	idleTime    = 2 * time.Minute
	headerBytes = 16 << 10
	closingTime = 5 * time.Second
)

// serve serves until the context is done. Answers that are being sent then have
// closingTime to end.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: headerBytes,
		ErrorLog: log.New(io.Discard, "", 0), // it would log what anybody sends
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	closing, stop := context.WithTimeout(context.WithoutCancel(ctx), closingTime)
	defer stop()
	if err := server.Shutdown(closing); err != nil {
		_ = server.Close() // ends the connections that are still open
	}
	<-done
	return nil
}

// secured returns the server's TLS configuration; nil for plain HTTP.
func secured(c *cli.Context) (*tls.Config, error) {
	cert, key := c.String("tls-cert"), c.String("tls-key")
	if cert == "" && key == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, &args.UsageError{Problem: "--tls-cert and --tls-key go together"}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read --tls-cert and --tls-key: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, nil
}

// users reads the users of --htpasswd; nil lets everybody ask.
func users(file string) (*cacheserver.Users, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	read, err := cacheserver.ReadUsers(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return read, nil
}

// open opens the store's cache, and fails if there is none.
func open(c *cli.Context) (*cache.Cache, error) {
	store, err := setup.StoreDir(c)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(store, "blobs")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, &noCacheError{dir}
	}
	return cache.Open(c.Context, dir)
}

// noCacheError says that there is no cache to serve.
type noCacheError struct{ dir string }

func (e *noCacheError) Error() string { return fmt.Sprintf("no cache is at %q", e.dir) }

// Hint names the commands that make one.
func (e *noCacheError) Hint() string {
	return "'layerctl sync --keep-blobs' and 'layerctl pull --keep-blobs' keep what can be served"
}

// Unwrap returns [fs.ErrNotExist].
func (e *noCacheError) Unwrap() error { return fs.ErrNotExist }
