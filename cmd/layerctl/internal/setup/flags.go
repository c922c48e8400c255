// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/host"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// GlobalFlags are the flags that every command takes.
func GlobalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "store", EnvVars: []string{"LAYERCTL_STORE"}, DefaultText: "/var/lib/layerctl as root, $XDG_DATA_HOME/layerctl otherwise", Usage: "keep layers and images in `DIR`"},
		&cli.StringFlag{Name: "platform", Usage: "choose for `OS/ARCH[/VARIANT]` instead of this machine"},
		&cli.BoolFlag{Name: "json", Usage: "print JSON instead of text"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress and no warnings"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "tell more: requests, leniencies"},
		&cli.StringFlag{Name: "progress", Value: "auto", Usage: "show progress as `auto|tty|plain|json|none`"},
		&cli.BoolFlag{Name: "offline", Usage: "ask no registry: take from the cache what is not in the store"},
		&cli.StringSliceFlag{Name: "plain-http", Usage: "speak plain HTTP to registry `HOST[:PORT]` (repeatable)"},
		&cli.StringFlag{Name: "authfile", EnvVars: []string{"LAYERCTL_AUTH_FILE"}, Usage: "take credentials from `FILE` (docker config.json form)"},
		&cli.BoolFlag{Name: "creds-stdin", Usage: "read USER:PASSWORD for the registry from standard input"},
		&cli.StringSliceFlag{Name: "token-host", Usage: "send credentials to token server `HOST` though it is of another site than the registry (repeatable)"},
		&cli.StringFlag{Name: "hosts-dir", DefaultText: "/etc/containerd/certs.d", Usage: "take mirrors from containerd's hosts.toml files in `DIR`"},
		&cli.StringSliceFlag{Name: "cacert", Usage: "trust the authority of the PEM `FILE` beside the system's (repeatable)"},
		&cli.BoolFlag{Name: "foreign", Usage: "fetch foreign layers that the registry does not have from the urls in their manifest, without credentials"},
		&cli.IntFlag{Name: "retry", Value: 10, Usage: "give up after `N` rounds over all hosts that brought nothing"},
		&cli.GenericFlag{Name: "stall-timeout", Value: args.NewSpan(time.Minute), DefaultText: "a minute", Usage: "cut a connection that brings less than 1 KiB a second for `TIME`"},
		&cli.GenericFlag{Name: "limit-rate", Value: &args.Size{}, DefaultText: "no limit, as 0 is", Usage: "fetch at most `SIZE` a second, over all connections"},
		&cli.IntFlag{Name: "ranges", DefaultText: "one", Usage: "fetch layers of 8 MiB and more over `N` connections at once, where a link is slow for one"},
		&cli.GenericFlag{Name: "max-memory", Value: &args.Size{}, DefaultText: "a quarter of the machine's or the cgroup's, 256MiB at most", Usage: "stay below `SIZE` of memory"},
		&cli.BoolFlag{Name: "strict", Usage: "refuse what is otherwise tolerated with a warning"},
		&cli.StringFlag{Name: "userland", Value: "auto", Usage: "on a 64-bit machine choose for its 32-bit or 64-bit programs: `32|64|auto`"},
		idsFlag(),
		whiteoutsFlag(),
		lowerFlag(),
		verityFlag(),
		&cli.BoolFlag{Name: "no-sync", Usage: "do not wait until layers are on the disk: they count until the next boot only (for CI)"},
	}
}

// CheckFlags checks the values of global flags, before any command runs.
func CheckFlags(c *cli.Context) error {
	if spec := c.String("platform"); spec != "" {
		if err := args.CheckPlatform(spec); err != nil {
			return err
		}
	}
	if _, err := platform.ParseUserland(c.String("userland")); err != nil {
		return &args.UsageError{Problem: fmt.Sprintf("there is no --userland %q", c.String("userland")), Advice: "it is one of 32, 64 or auto"}
	}
	return checkFetchFlags(c)
}

func checkFetchFlags(c *cli.Context) error {
	if c.Int("retry") < 0 {
		return &args.UsageError{Problem: fmt.Sprintf("--retry %d is not a number of rounds", c.Int("retry"))}
	}
	if stall := Span(c, "stall-timeout"); stall <= 0 {
		return &args.UsageError{Problem: fmt.Sprintf("--stall-timeout %s is no time to wait", stall)}
	}
	if n := c.Int("ranges"); n < 0 || n > registry.MaxRanges {
		return &args.UsageError{Problem: fmt.Sprintf("--ranges %d is not a number of connections", n), Advice: fmt.Sprintf("%d is the most", registry.MaxRanges)}
	}
	if n := Size(c, "max-memory"); c.IsSet("max-memory") && n < host.LeastMemory {
		return &args.UsageError{Problem: fmt.Sprintf("--max-memory %d is too little", n), Advice: "24MiB is the least"}
	}
	limitMemory(c)
	return nil
}

// Logger returns a logger to standard error with --verbose, and a silent one without.
func Logger(c *cli.Context) *slog.Logger {
	if !c.Bool("verbose") {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// systemIsOurs reports whether root is the machine's root. In a user namespace that an
// ordinary user has made, the system's files belong to another user.
func systemIsOurs() bool {
	fi, err := os.Stat("/var/lib")
	if err != nil {
		return true
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	return !ok || st.Uid == 0
}

// StoreDir returns the directory of the store: by the flag, by the environment, or the
// usual place for root or for an ordinary user (FHS 3.0, /var/lib; XDG base directory
// specification).
func StoreDir(c *cli.Context) (string, error) {
	if dir := c.String("store"); dir != "" {
		return filepath.Abs(dir)
	}
	if os.Geteuid() == 0 && systemIsOurs() {
		return "/var/lib/layerctl", nil
	}
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "layerctl"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", &args.UsageError{Problem: "neither HOME nor XDG_DATA_HOME is set", Advice: "name a directory with --store"}
	}
	return filepath.Join(home, ".local", "share", "layerctl"), nil
}
