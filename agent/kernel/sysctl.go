package kernel

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lanseal/lanseal/rules"
)

// record remembers the values of sysctls of devices that are not lanseal's, as
// they were before it first changed them.
type record struct{ path string }

func newRecord(dir string) *record { return &record{path: filepath.Join(dir, "sysctls.json")} }

func (r *record) read() map[string]string {
	m := map[string]string{}
	if b, err := os.ReadFile(r.path); err == nil {
		_ = json.Unmarshal(b, &m) // a damaged record restores nothing
	}
	return m
}

func (r *record) write(m map[string]string) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	tmp := r.path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, r.path)
}

// setSysctl writes a value; that of a foreign device is recorded first, and
// without the record nothing is written.
func (k *Kernel) setSysctl(s rules.Sysctl) error {
	old, err := readSysctl(s.Path)
	if os.IsNotExist(err) {
		return nil // the device is gone; its next appearance is an event
	}
	if s.Shared && old != s.Value {
		m := k.record.read()
		if _, known := m[s.Path]; !known {
			m[s.Path] = old
			if err := k.record.write(m); err != nil {
				return fmt.Errorf("recording %s before changing it: %w", s.Path, err)
			}
		}
	}
	return os.WriteFile("/proc/sys/"+s.Path, []byte(s.Value), 0o644)
}

// restoreSysctls puts every recorded value back and forgets it.
func (k *Kernel) restoreSysctls() error {
	var first error
	for path, value := range k.record.read() {
		err := os.WriteFile("/proc/sys/"+path, []byte(value), 0o644)
		if err != nil && !os.IsNotExist(err) && first == nil {
			first = fmt.Errorf("restoring %s: %w", path, err)
		}
	}
	if first != nil {
		return first
	}
	if err := os.Remove(k.record.path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
