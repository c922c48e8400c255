// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/words"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"golang.org/x/sys/unix"
)

// Options say how to mount an image. The zero value is right for most callers: a
// read-only mount, with no option that the store does not need.
type Options struct {
	// Name is in the mount's source, for people who read a list of mounts; "" means
	// the image's first reference.
	Name string
	// Platform is the platform by which the reference names the image, such as
	// "linux/arm/v7". Lines for fstab and systemd with a reference have it too; ""
	// means this machine's.
	Platform string
	// Writable makes a writable mount, whose upper directory gets what is written.
	Writable bool
	// Upper and Work are the directories of a writable mount, both on the same mount
	// of the same filesystem; they stay when the mount ends. If both are "", they are
	// made in the store, and [Unmount] removes them. Without Writable they must be "".
	Upper, Work string
	// Volatile leaves out every sync of the upper directory, also at unmount: after a
	// crash or a power cut what was written may be damaged. It needs Writable.
	Volatile bool
	// Options are options of overlayfs and mount flags, such as "metacopy=on" or
	// "noexec"; [OptionNames] lists all. Without "suid" and "dev" the mount has the
	// flags nosuid and nodev. With them every local user who can reach the mount can
	// run the image's set-user-ID programs and open its devices.
	Options []string
	// IDMap changes the owners of the layers' files in the mount; see [ParseIDMap].
	// Empty means that they stay.
	IDMap []IDMapping
	// Driver says what mounts the layers; the zero value is AutoDriver.
	Driver Driver
	// Target is where a writable mount will be; it goes into the mount's record. It
	// may be "".
	Target string
}

// OptionError says that an option is not allowed, not with another one, or not on this
// kernel.
type OptionError struct {
	Option string
	Reason string
	Err    error // the kernel's, or nil
}

func (e *OptionError) Error() string {
	text := fmt.Sprintf("mount option %q: %s", e.Option, e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns [overlaystore.ErrUnsupported] and the kernel's error, or
// [errkind.Usage] if the kernel was not asked.
func (e *OptionError) Unwrap() []error {
	if e.Err == nil {
		return []error{errkind.Usage, overlaystore.ErrUnsupported}
	}
	return []error{overlaystore.ErrUnsupported, e.Err}
}

// overlayValues returns the options of overlayfs that a user may choose, with their
// values (https://docs.kernel.org/filesystems/overlayfs.html).
func overlayValues() map[string][]string {
	return map[string][]string{
		"index":        {"on", "off"},
		"metacopy":     {"on", "off"},
		"nfs_export":   {"on", "off"},
		"redirect_dir": {"on", "off", "follow", "nofollow"},
		"uuid":         {"auto", "on", "off", "null"},
		"xino":         {"auto", "on", "off"},
	}
}

// mountFlag is a flag of the mount point, for mount(2) and for fsmount(2).
type mountFlag struct{ ms, attr uintptr }

func mountFlags() map[string]mountFlag {
	return map[string]mountFlag{
		"nosuid":      {unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID},
		"nodev":       {unix.MS_NODEV, unix.MOUNT_ATTR_NODEV},
		"noexec":      {unix.MS_NOEXEC, unix.MOUNT_ATTR_NOEXEC},
		"noatime":     {unix.MS_NOATIME, unix.MOUNT_ATTR_NOATIME},
		"nodiratime":  {unix.MS_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
		"nosymfollow": {0x100, unix.MOUNT_ATTR_NOSYMFOLLOW},
	}
}

// directIO has EROFS read layers that are tars without the page cache. Without the
// option that is done on machines with little memory.
const directIO = "directio"

// labels returns the options by which SELinux labels a mount (mount(8)).
func labels() []string { return []string{"context", "fscontext", "defcontext", "rootcontext"} }

func isLabel(value string) bool {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.:,-", r)
	}
	value = strings.Trim(value, `"`)
	return strings.Count(value, ":") >= 2 && strings.IndexFunc(value, func(r rune) bool { return !plain(r) }) < 0
}

// quoteLabel quotes a context with commas, as mount(8) and SELinux take it.
func quoteLabel(key, value string) string {
	value = strings.Trim(value, `"`)
	if strings.Contains(value, ",") {
		value = `"` + value + `"`
	}
	return key + "=" + value
}

// guards returns the flags that mounts have by default, each with the option that
// removes it.
func guards() [][2]string { return [][2]string{{"nosuid", "suid"}, {"nodev", "dev"}} }

// propagations returns the kinds of propagation (mount_namespaces(7)).
func propagations() map[string]uintptr {
	return map[string]uintptr{
		"private":    unix.MS_PRIVATE,
		"slave":      unix.MS_SLAVE,
		"shared":     unix.MS_SHARED,
		"unbindable": unix.MS_UNBINDABLE,
	}
}

// OptionNames lists the options that [Options] takes, sorted.
func OptionNames() []string {
	var all []string
	for key, values := range overlayValues() {
		all = append(all, key+"="+strings.Join(values, "|"))
	}
	for name := range mountFlags() {
		all = append(all, name)
	}
	for name := range propagations() {
		all = append(all, name)
	}
	for _, g := range guards() {
		all = append(all, g[1])
	}
	for _, name := range labels() {
		all = append(all, name+"=CONTEXT")
	}
	all = append(all, directIO)
	slices.Sort(all)
	return all
}

// IsOption reports whether [Options] takes an option.
func IsOption(o string) bool {
	_, err := parseOptions([]string{o})
	return err == nil
}

// chosen has the options that the caller chose, by their kinds.
type chosen struct {
	overlay     []string // key=value
	flags       []string
	unguarded   []string // options that remove a flag of guards
	propagation string
	direct      bool // directIO
}

func (c chosen) value(key string) string {
	for _, o := range c.overlay {
		if v, ok := strings.CutPrefix(o, key+"="); ok {
			return v
		}
	}
	return ""
}

// parseOptions takes only options of a list: any other might name directories, or
// switch off what keeps a stack safe.
func parseOptions(list []string) (chosen, error) {
	var c chosen
	for _, o := range list {
		key, value, hasValue := strings.Cut(o, "=")
		values, overlay := overlayValues()[key]
		against, guard := c.against(o)
		label := slices.Contains(labels(), key)
		_, flag := mountFlags()[o]
		_, propagation := propagations()[o]
		switch {
		case against != "":
			return c, &OptionError{Option: o, Reason: against + " was given before"}
		case label && !isLabel(value):
			return c, &OptionError{Option: o, Reason: "its value is a security context, such as system_u:object_r:container_file_t:s0"}
		case label:
			c.overlay = append(c.overlay, quoteLabel(key, value))
		case o == directIO:
			c.direct = true
		case guard:
			c.unguarded = append(c.unguarded, o)
		case overlay && (!hasValue || !slices.Contains(values, value)):
			return c, &OptionError{Option: o, Reason: "its value is " + words.Or(values)}
		case overlay && c.value(key) != "" && c.value(key) != value:
			return c, &OptionError{Option: o, Reason: "it was given the value " + c.value(key) + " before"}
		case overlay && c.value(key) == "":
			c.overlay = append(c.overlay, o)
		case flag && !slices.Contains(c.flags, o):
			c.flags = append(c.flags, o)
		case propagation && c.propagation != "" && c.propagation != o:
			return c, &OptionError{Option: o, Reason: "a mount has one kind of propagation, and " + c.propagation + " was given before"}
		case propagation:
			c.propagation = o
		case !overlay && !flag:
			return c, &OptionError{Option: o, Reason: reasonToRefuse(key)}
		}
	}
	return c, nil
}

// against returns the option before o that means the opposite, and whether o removes a
// flag of guards.
func (c chosen) against(o string) (opposite string, guard bool) {
	for _, g := range guards() {
		flag, name := g[0], g[1]
		switch {
		case o == name && slices.Contains(c.flags, flag):
			return flag, true
		case o == flag && slices.Contains(c.unguarded, name):
			return name, false
		case o == name:
			return "", true
		}
	}
	return "", false
}

// guard adds the flags that a mount has by default.
func (c *chosen) guard() {
	var flags []string
	for _, g := range guards() {
		if !slices.Contains(c.unguarded, g[1]) && !slices.Contains(c.flags, g[0]) {
			flags = append(flags, g[0])
		}
	}
	c.flags = append(flags, c.flags...)
}

// reasonToRefuse says why an option is not on the list.
func reasonToRefuse(key string) string {
	switch key {
	case "lowerdir", "lowerdir+", "datadir+":
		return "the layers are the image's"
	case "upperdir", "workdir":
		return "the upper and the work directory are named apart"
	case "volatile", "fsync":
		return "a volatile mount is asked for apart"
	case "rw", "ro":
		return "a mount is read-only, and writable where that is asked for apart"
	case "userxattr":
		return "the store's form decides that"
	case "X-mount.idmap":
		return "an id map is given apart"
	default:
		return "it is none of " + words.And(OptionNames())
	}
}

// checkConflicts refuses pairs of options that the kernel refuses with EINVAL, and
// options that it would ignore without an error (ovl_fs_params_verify in
// fs/overlayfs/params.c).
func (c chosen) checkConflicts(writable, userxattr bool) error {
	conflict := func(key, reason string) error {
		return &OptionError{Option: key + "=" + c.value(key), Reason: reason}
	}
	redirect := c.value("redirect_dir")
	switch {
	case userxattr && c.value("metacopy") == "on":
		return conflict("metacopy", "the store has user.* marks (userxattr), and overlayfs trusts only trusted.* ones with it; root's store has those")
	case userxattr && redirect != "" && redirect != "nofollow":
		return conflict("redirect_dir", "the store has user.* marks (userxattr), and overlayfs follows only trusted.* redirects; only nofollow goes")
	case c.value("metacopy") == "on" && redirect != "" && redirect != "on":
		return conflict("metacopy", "it conflicts with redirect_dir="+redirect+": a renamed file finds its data by a redirect; use redirect_dir=on")
	case c.value("nfs_export") == "on" && c.value("index") == "off":
		return conflict("nfs_export", "it conflicts with index=off: file handles are found by the index")
	case c.value("nfs_export") == "on" && c.value("metacopy") == "on":
		return conflict("nfs_export", "it conflicts with metacopy=on: a file handle must lead to the data")
	}
	for _, key := range []string{"index", "nfs_export"} {
		if c.value(key) == "on" && !writable {
			return conflict(key, "it means nothing in a read-only mount: the index is kept in the work dir")
		}
	}
	return nil
}

// probeOption asks the running kernel whether overlayfs takes an option, "key" or
// "key=value". It mounts nothing. Before Linux 6.5 overlayfs checks options only when
// it mounts, and a process that may not mount cannot ask: in both cases probeOption
// returns nil. The error is an [*OptionError] with the kernel's message.
func probeOption(option string) error {
	c, err := mounts.OpenContext("overlay")
	if err != nil {
		return nil
	}
	defer c.Close()
	if c.TakesAnything() {
		return nil
	}
	if err := c.Option(option); err != nil {
		return &OptionError{Option: option, Reason: "this kernel's overlay does not take it", Err: err}
	}
	return nil
}

// overlayOptions returns the options except the directories. A read-only overlay
// follows redirects by default. In a layer only a forged mark could be a redirect, so
// they are switched off unless the caller chose them.
func (m *Mount) overlayOptions() []string {
	var o []string
	userxattr := m.store.Format().Xattrs == layer.UserXattrs
	if m.chosen.value("redirect_dir") == "" && (!m.writable() || userxattr) && m.chosen.value("metacopy") != "on" {
		o = append(o, "redirect_dir=nofollow")
	}
	if m.chosen.value("metacopy") == "" {
		o = append(o, "metacopy=off")
	}
	if userxattr {
		o = append(o, "userxattr")
	}
	o = append(o, m.chosen.overlay...)
	if m.volatile {
		o = append(o, "volatile")
	}
	return o
}

// flagBits returns the mount flags for mount(2) and for fsmount(2).
func (m *Mount) flagBits() mountFlag {
	bits := mountFlag{}
	if !m.writable() {
		bits = mountFlag{unix.MS_RDONLY, unix.MOUNT_ATTR_RDONLY}
	}
	for _, name := range m.chosen.flags {
		f := mountFlags()[name]
		bits.ms |= f.ms
		bits.attr |= f.attr
	}
	return bits
}

// configure parses and checks the options.
func (m *Mount) configure(o Options) (err error) {
	if m.chosen, err = parseOptions(o.Options); err != nil {
		return err
	}
	m.chosen.guard()
	if err := m.chosen.checkConflicts(o.Writable, m.store.Format().Xattrs == layer.UserXattrs); err != nil {
		return err
	}
	switch {
	case o.Volatile && !o.Writable:
		return fmt.Errorf("%w: volatile concerns what is written, so it needs a writable mount", overlaystore.ErrUnsupported)
	case (o.Upper == "") != (o.Work == ""):
		return fmt.Errorf("%w: an upper dir needs a work dir and the other way round, on the same filesystem", overlaystore.ErrUnsupported)
	case o.Upper != "" && !o.Writable:
		return fmt.Errorf("%w: upper and work are for a writable mount", overlaystore.ErrUnsupported)
	}
	m.volatile, m.idmap = o.Volatile, o.IDMap
	var errs []error
	for _, option := range m.overlayOptions() {
		errs = append(errs, probeOption(option))
	}
	return errors.Join(errs...)
}
