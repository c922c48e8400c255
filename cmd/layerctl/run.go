// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/converting"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/copying"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/diff"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/engines"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/help"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/indexes"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/inspection"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/serving"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/signatures"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/syncing"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaymount"
)

// run runs the command and returns its exit code.
func run(arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := untilSignal(context.Background())
	defer stop()
	if f, ok := stdout.(*os.File); ok {
		stdout = terminal.NewOutput(ctx, f)
	}
	out := terminal.Remember(stdout)
	app := newApp(stdin, out, stderr)
	if help.IsAsked(arguments) {
		describe(app, arguments)
	}
	ordered, err := args.Reorder(arguments, grammar(app))
	if err == nil {
		err = app.RunContext(ctx, ordered)
	}
	if err == nil {
		err = out.Err() // the cli package ignores errors as it prints help
	}
	var elsewhere *setup.HandedOver
	if errors.As(err, &elsewhere) {
		return elsewhere.Code
	}
	var caught *signalError
	switch {
	case err == nil:
	case errors.As(context.Cause(ctx), &caught):
		err = caught
	case isBrokenPipe(err):
		// The reader needs no more: as with other commands there is no message.
		return exitSignal + int(syscall.SIGPIPE)
	}
	if err != nil && !errors.Is(err, diff.ErrDiffer) {
		fail(terminal.NewConsole(stderr), err, isVerbose(ordered))
	}
	return exitCode(err)
}

// isVerbose reports whether the arguments have --verbose. After a usage error the app
// may not have parsed it.
func isVerbose(arguments []string) bool {
	words := arguments[:max(slices.Index(arguments, "--"), 0)]
	if len(words) == 0 {
		words = arguments
	}
	return slices.Contains(words, "--verbose") || slices.Contains(words, "-v")
}

// isBrokenPipe reports whether nobody reads standard output any more.
func isBrokenPipe(err error) bool {
	var write *fs.PathError
	return errors.As(err, &write) && write.Path == os.Stdout.Name() && errors.Is(write.Err, syscall.EPIPE)
}

func grammar(app *cli.App) args.Grammar {
	return args.Grammar{
		Global: globalNames(app),
		Runs:   unshareName,
		Command: func(word string) (string, map[string]bool) {
			if command := app.Command(word); command != nil {
				return command.Name, flagNames(command.Flags)
			}
			return "", nil
		},
	}
}

// globalNames returns the global flags, which may follow a command too. --version may
// not.
func globalNames(app *cli.App) map[string]bool {
	names := flagNames(app.Flags)
	delete(names, "version")
	return names
}

// flagNames maps each name of each flag to whether it takes a value.
func flagNames(flags []cli.Flag) map[string]bool {
	names := map[string]bool{}
	for _, f := range flags {
		takes := false
		if d, ok := f.(cli.DocGenerationFlag); ok {
			takes = d.TakesValue()
		}
		for _, n := range f.Names() {
			names[n] = takes
		}
	}
	return names
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:                      "layerctl",
		Usage:                     "fetch, choose, unpack, store and mount container images",
		HideVersion:               true,
		HideHelpCommand:           false,
		Reader:                    stdin,
		Writer:                    stdout,
		ErrWriter:                 stderr,
		Flags:                     append(setup.GlobalFlags(), &cli.BoolFlag{Name: "version", Usage: "print the version"}),
		Commands:                  commands(),
		Metadata:                  map[string]any{setup.RequestCount: new(atomic.Int64)},
		Before:                    setup.CheckFlags,
		After:                     setup.TellRequests,
		Action:                    noCommand,
		OnUsageError:              usageFault,
		ExitErrHandler:            func(*cli.Context, error) {},
		DisableSliceFlagSeparator: true,
	}
	for _, c := range app.Commands {
		c.OnUsageError = usageFault
		c.HideHelpCommand = true
	}
	app.Setup() // adds the command help
	if topic := app.Command("help"); topic != nil {
		topic.Before = knownTopic
	}
	return app
}

// describe sets the help texts of the app and of the commands among the arguments. It is
// called only for help, because it takes longer than some commands run, and memory that
// a pull needs.
func describe(app *cli.App, arguments []string) {
	help.Set(app, arguments, map[string]string{"{OPTIONS}": strings.Join(overlaymount.OptionNames(), ", ")})
}

func commands() []*cli.Command {
	return []*cli.Command{
		inspection.Command(),
		inspection.PlatformsCommand(),
		inspection.ResolveCommand(),
		pullCommand(),
		syncing.Command(),
		syncing.StatusCommand(),
		serving.Command(),
		unpackCommand(),
		mountCommand(),
		umountCommand(),
		unshareCommand(),
		mountsCommand(),
		bundleCommand(),
		exportCommand(),
		lsCommand(),
		catCommand(),
		diff.Command(),
		copying.CopyCommand(),
		copying.TagsCommand(),
		indexes.Command(),
		imagesCommand(),
		engines.GiveCommand(),
		engines.TakeCommand(),
		rmCommand(),
		pruneCommand(),
		verifyCommand(),
		converting.Command(),
		signatures.VerifyCommand(),
		signatures.VerifierCommand(),
		dfCommand(),
		loginCommand(),
		logoutCommand(),
		pingCommand(),
		doctorCommand(),
		completionCommand(),
		manualCommand(),
		referencesCommand(),
		versionCommand(),
	}
}

// knownTopic fails for 'layerctl help NAME' if there is no command NAME.
func knownTopic(c *cli.Context) error {
	if name := c.Args().First(); name != "" && c.App.Command(name) == nil {
		return unknownCommand(c, name)
	}
	return nil
}

// noCommand runs if the command line names no command, or one that does not exist.
func noCommand(c *cli.Context) error {
	name := c.Args().First()
	switch {
	case c.Bool("version"):
		return runVersion(c)
	case name == "":
		describe(c.App, nil)
		return cli.ShowAppHelp(c)
	}
	return unknownCommand(c, name)
}

func unknownCommand(c *cli.Context, name string) error {
	fault := &usageError{Problem: fmt.Sprintf("there is no command %q", name), Advice: "'layerctl --help' lists the commands"}
	var names []string
	for _, command := range c.App.VisibleCommands() {
		names = append(names, command.Name)
	}
	if near := args.Nearest(name, names); near != "" {
		fault.Advice = fmt.Sprintf("did you mean %q? %s", near, fault.Advice)
	}
	return fault
}

func usageFault(c *cli.Context, err error, _ bool) error {
	problem := err.Error()
	if before, flag, found := strings.Cut(problem, " for flag -"); found && strings.IndexByte(flag, ':') != 1 {
		problem = before + " for flag --" + flag
	}
	fault := &usageError{Problem: problem, Advice: "'layerctl --help' lists the commands"}
	if c == nil {
		return fault
	}
	flags := c.App.Flags
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != c.App.Name {
		flags = slices.Concat(c.Command.Flags, flags)
		fault.Advice = fmt.Sprintf("'layerctl %s --help' tells how it is used", c.Command.Name)
	}
	unknown, isUnknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !isUnknown {
		return fault
	}
	fault.Problem = fmt.Sprintf("there is no flag --%s", strings.TrimLeft(unknown, "-"))
	if unknown == "-version" || unknown == "version" {
		fault.Advice = "'layerctl --version' goes without a command"
		return fault
	}
	if near := args.Nearest(strings.TrimLeft(unknown, "-"), slices.Sorted(maps.Keys(flagNames(flags)))); near != "" {
		fault.Advice = fmt.Sprintf("did you mean --%s? %s", near, fault.Advice)
	}
	return fault
}

// signalError is the cause of a context that was cancelled by a signal.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string {
	switch e.signal {
	case syscall.SIGINT:
		return "interrupted"
	case syscall.SIGHUP:
		return "hung up"
	default:
		return "terminated"
	}
}

// untilSignal returns a context that is cancelled at the first SIGINT, SIGTERM or
// SIGHUP, so that a pull can remove its staging. A second signal kills the process. A
// signal that was ignored when the process began stays ignored, as nohup needs. SIGPIPE
// does not end the process: the write fails instead, so that temporary files are
// removed then too.
func untilSignal(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(&signalError{signal: s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		signal.Stop(pipes)
		cancel(nil)
	}
}
