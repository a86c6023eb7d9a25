package bench

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// firstCheck is when the agent has looked at everything once more after its
// start, which is its last look that finds something new.
const firstCheck = 35 * time.Second

// idle watches one healthy exit and a LAN that is quiet, for a minute.
func idle(ctx context.Context, b *bench) ([]row, error) {
	length := time.Minute
	if b.runs < 10 {
		length = 5 * time.Second
	}
	const agent, child = "lanseal, the agent", "lanseal, the userspace WireGuard"
	var rows []row
	err := b.in(ctx, lab.Options{}, func(ctx context.Context, l *lab.Lab) error {
		a, err := protected(ctx, l, one(l))
		if err != nil {
			return err
		}
		atStart, err := settle(ctx, a.Persist)
		if err != nil {
			return err
		}
		if err := pause(ctx, min(firstCheck, 5*length)); err != nil {
			return err
		}
		pids := map[string]int{agent: a.Pid(), child: childOf(a.Pid())}
		before := map[string]usage{}
		for name, pid := range pids {
			before[name] = usageOf(pid)
		}
		files := written(a.Persist)
		began := time.Now()
		for time.Since(began) < length {
			b.tell("g  idle for %.0f of %.0f s", time.Since(began).Seconds(), length.Seconds())
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
		}
		took := time.Since(began)
		for _, name := range []string{agent, child} {
			if pids[name] == 0 {
				continue // the kernel carries the tunnel
			}
			now := usageOf(pids[name])
			used := now.since(before[name])
			if now.rss == 0 {
				return fmt.Errorf("%s has ended", name)
			}
			add := func(what, unit string, v float64, note string) {
				rows = append(rows, row{name: name, what: what, unit: unit, values: []float64{v}, note: note})
			}
			add("resident memory", "MB", float64(now.rss)/1e6, "")
			add("wake-ups", "per second", float64(used.wakeups)/took.Seconds(), "voluntary context switches of all threads")
			add("processor", "s per hour", used.cpu.Seconds()*float64(time.Hour)/float64(took), "")
		}
		perDay := changed(files, written(a.Persist)) * float64(24*time.Hour) / float64(took)
		rows = append(rows,
			row{name: agent, what: "written to flash at the first start", unit: "kB", values: []float64{atStart / 1e3}, note: "once"},
			row{name: agent, what: "written to flash", unit: "kB per day", values: []float64{perDay / 1e3},
				note: fmt.Sprintf("extrapolated from %.0f s, in which no checkpoint falls due", took.Seconds())})
		return nil
	})
	return rows, err
}

// settle waits until the start has nothing left to do, and to write: five
// seconds of quiet. It returns the bytes that were written until then.
func settle(ctx context.Context, dir string) (bytes float64, err error) {
	const quiet = 5 * time.Second
	last := map[string]file{}
	since := time.Now()
	for begun := since; time.Since(since) < quiet; {
		if time.Since(begun) > patience {
			return 0, fmt.Errorf("%s is written to without end", dir)
		}
		now := written(dir)
		if n := changed(last, now); n > 0 {
			bytes += n
			last, since = now, time.Now()
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return bytes, nil
}

// usage is what a process has used since its start.
type usage struct {
	rss     int64 // bytes
	threads map[string]thread
}

type thread struct {
	wakeups int64
	cpu     time.Duration
}

// since is what the threads that are there now have used after an earlier look.
func (u usage) since(was usage) (t thread) {
	for id, now := range u.threads {
		t.wakeups += now.wakeups - was.threads[id].wakeups
		t.cpu += now.cpu - was.threads[id].cpu
	}
	return t
}

// usageOf reads /proc; a process that is gone has used nothing.
func usageOf(pid int) usage {
	u := usage{threads: map[string]thread{}}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, dir := range tasks {
		t := thread{wakeups: statusField(dir+"/status", "voluntary_ctxt_switches")}
		if b, err := os.ReadFile(dir + "/schedstat"); err == nil {
			ns, _, _ := strings.Cut(string(b), " ")
			n, _ := strconv.ParseInt(ns, 10, 64)
			t.cpu = time.Duration(n)
		}
		u.threads[dir] = t
	}
	u.rss = statusField(fmt.Sprintf("/proc/%d/status", pid), "VmRSS") * 1024
	return u
}

func statusField(path, name string) int64 {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// childOf finds the child that serves a tunnel; 0 where there is none.
func childOf(pid int) int {
	all, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range all {
		if statusField(path, "PPid") == int64(pid) {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if statusField(path, "VmRSS") > 0 { // not a program that has just ended
				return n
			}
		}
	}
	return 0
}

type file struct {
	size     int64
	modified time.Time
}

// changed is the size of the files that are new or written anew.
func changed(before, now map[string]file) (bytes float64) {
	for path, f := range now {
		if before[path] != f {
			bytes += float64(f.size)
		}
	}
	return bytes
}

// written are the files of a directory as they stand.
func written(dir string) map[string]file {
	all := map[string]file{}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				all[path] = file{info.Size(), info.ModTime()}
			}
		}
		return nil
	})
	return all
}
