// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/layerctl/layerctl/internal/quoting"
	"github.com/layerctl/layerctl/overlaystore"
)

// Unit is a systemd mount unit, with the name that its file must have
// (systemd.mount(5)).
type Unit struct{ Name, Text string }

// Unit returns a unit that mounts the image at target. It can have more layers than an
// fstab line, because a unit says in which directory mount(8) runs.
func (m *Mount) Unit(target string) (Unit, error) {
	u, err := m.unit(target)
	if err != nil {
		return Unit{}, fmt.Errorf("print the mount unit: %w", err)
	}
	return u, nil
}

func (m *Mount) unit(target string) (Unit, error) {
	if err := m.checkLasting("a mount unit"); err != nil {
		return Unit{}, err
	}
	abs, err := filepath.Abs(target)
	if err != nil {
		return Unit{}, err
	}
	what, kind, directory, options, err := m.unitMount()
	if err != nil {
		return Unit{}, err
	}
	if strings.ContainsAny(abs+m.store.Path()+m.upper+m.work, "\n\r") {
		return Unit{}, fmt.Errorf("%w: a path has a line break, for which units have no form", overlaystore.ErrUnsupported)
	}
	name := quoting.UnitName(abs)
	if strings.HasSuffix(abs, `\`) {
		abs += "/" // at the end of a line a backslash would continue it
	}
	// The options never end with a backslash, which would continue the line. A
	// percent sign begins a specifier.
	text := fmt.Sprintf(`# /etc/systemd/system/%s
[Unit]
Description=Image %s
RequiresMountsFor=%s

[Mount]
What=%s
Where=%s
Type=%s
Options=%s
WorkingDirectory=%s
Environment=LIBMOUNT_FORCE_MOUNT2=always

[Install]
WantedBy=local-fs.target
`, name, quoting.UnitText(what), quoting.UnitWords(m.needed()), quoting.UnitText(what), quoting.UnitText(abs), kind,
		quoting.UnitText(options), quoting.UnitText(directory))
	return Unit{name, text}, nil
}

// unitMount returns the source, the type and the options of a unit's mount, and the
// directory in which mount(8) runs.
func (m *Mount) unitMount() (what, kind, directory, options string, err error) {
	flags := m.Flags()
	if m.indexed {
		return m.ref, HelperType, m.store.Path(), strings.Join(append(flags[:1], m.helperOptions(flags[1:])...), ","), nil
	}
	options, err = m.Options()
	return m.source, "overlay", m.LinkDir(), strings.Join(flags, ",") + "," + options, err
}
