package kernel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// nft is the firewall lock in its text form: what is loaded is what golden
// files, logs and "lanseal plan" show.
type nft struct {
	mu   sync.Mutex
	refs map[string]string // loaded text → how nft lists it; a few entries at most
	own  map[int]bool      // pids of nft processes started here, to tell own events from others'

	net      thirdNet   // the loop's goroutine alone, like
	compared comparison // this
}

func newNFT() *nft {
	return &nft{refs: map[string]string{}, own: map[int]bool{}}
}

// run executes nft and turns its complaint into the error.
func (n *nft) run(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "nft", args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("starting nft: %w", err)
	}
	n.remember(cmd.Process.Pid)
	if err := cmd.Wait(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
		if first == "" {
			first = err.Error()
		}
		return "", fmt.Errorf("nft: %s", first)
	}
	return out.String(), nil
}

func (n *nft) remember(pid int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.own) > 64 {
		clear(n.own)
	}
	n.own[pid] = true
}

// Own says whether the process that changed the ruleset was started here.
func (n *nft) Own(pid int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.own[pid]
}

// Apply loads the lock in one transaction: all of it, or nothing of it and an
// error. To check it first (nft -c) would say no more, and take as long again
// while a switch of exits is waited for. Then comes the third net, whose rules
// read the lock's marks: it comes after the lock and goes before it.
func (n *nft) Apply(ctx context.Context, fw *rules.Firewall) error {
	if fw == nil {
		n.applyNet(ctx, nil)
	}
	if _, err := n.run(ctx, rules.NFT(fw), "-f", "-"); err != nil {
		return fmt.Errorf("loading the firewall: %w", err)
	}
	if fw != nil {
		n.applyNet(ctx, fw)
	}
	return nil
}

const missingTable = "No such file or directory"

// list returns a table without counters and without the elements of dynamic
// sets, or "" if there is none.
func (n *nft) list(ctx context.Context, table string) (string, error) {
	return n.listFamily(ctx, "inet", table)
}

func (n *nft) listFamily(ctx context.Context, family, table string) (string, error) {
	out, err := n.run(ctx, "", "-s", "list", "table", family, table)
	if err != nil && strings.Contains(err.Error(), missingTable) {
		return "", nil
	}
	return withoutDynamic(out), err
}

// has says whether any of lanseal's tables is there.
func (n *nft) has(ctx context.Context) bool {
	for _, table := range []string{rules.NFTable, rules.NFTableGuard} {
		if text, err := n.list(ctx, table); err == nil && text != "" {
			return true
		}
	}
	text, err := n.listFamily(ctx, "netdev", rules.NFTable)
	return err == nil && text != ""
}

var dynamicElements = regexp.MustCompile(`(?s)(flags dynamic[^}]*?)\n\t\telements = \{.*?\}`)

func withoutDynamic(s string) string { return dynamicElements.ReplaceAllString(s, "$1") }

// Differs compares, unless it is known that nothing has changed since a
// comparison that found no difference: a listing costs a program, and the full
// check would run it twice a minute without end.
func (n *nft) Differs(ctx context.Context, fw *rules.Firewall) ([]string, error) {
	// Asked before the listing: a change meanwhile has another number.
	now, unknown := generation()
	if last := n.compared; unknown == nil && last.sound && last.fw == fw && last.generation == now {
		return nil, nil
	}
	diffs, err := n.compare(ctx, fw)
	n.compared = comparison{fw, now, unknown == nil && err == nil && len(diffs) == 0}
	return diffs, err
}

// compare lists what the kernel's tables hold against what nft makes of the
// text elsewhere, line by line.
func (n *nft) compare(ctx context.Context, fw *rules.Firewall) ([]string, error) {
	have, err := n.list(ctx, rules.NFTable)
	if err != nil {
		return nil, err
	}
	var diffs []string
	if fw == nil {
		if have != "" {
			diffs = append(diffs, "table inet "+rules.NFTable+" is there, and should not be")
		}
	} else {
		want, err := n.reference(ctx, "inet", rules.NFT(fw))
		switch {
		case err != nil:
			return nil, err
		case have == "":
			diffs = append(diffs, "table inet "+rules.NFTable+" is missing")
		default:
			diffs = append(diffs, diffLines(want, have)...)
		}
	}
	guard, err := n.list(ctx, rules.NFTableGuard)
	if err == nil && guard != "" {
		diffs = append(diffs, "table inet "+rules.NFTableGuard+" is there, and no longer needed")
	}
	if err != nil {
		return diffs, err
	}
	if len(diffs) > 0 {
		n.net.loaded = "" // whoever changed the lock may have changed the net: both are loaded anew
		return diffs, nil
	}
	return n.netDiffers(ctx, fw)
}

// reference is how nft lists lanseal's table of a family: the text is loaded
// in an empty network namespace of its own, where it touches nothing.
func (n *nft) reference(ctx context.Context, family, text string) (string, error) {
	n.mu.Lock()
	ref, ok := n.refs[text]
	n.mu.Unlock()
	if ok {
		return ref, nil
	}
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go onOwnThread(func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- result{err: fmt.Errorf("making a network namespace for the comparison: %w", err)}
			return
		}
		if _, err := n.run(ctx, text, "-f", "-"); err != nil {
			done <- result{err: err}
			return
		}
		out, err := n.listFamily(ctx, family, rules.NFTable)
		done <- result{out, err}
	})
	r := <-done
	if errors.Is(r.err, unix.EINVAL) || errors.Is(r.err, unix.EPERM) || errors.Is(r.err, unix.ENOSYS) {
		r.out, r.err = n.dormantReference(ctx, family, text)
	}
	if r.err != nil {
		return "", r.err
	}
	n.mu.Lock()
	if len(n.refs) > 8 {
		clear(n.refs)
	}
	n.refs[text] = r.out
	n.mu.Unlock()
	return r.out, nil
}

// onOwnThread runs f on a thread that ends with the calling goroutine, and
// never on the process's first one: /proc/self speaks of that.
func onOwnThread(f func()) {
	runtime.LockOSThread() // never unlocked: the thread, and its namespace, end here
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(done)
		f()
	}()
	<-done
	runtime.UnlockOSThread() // the first thread has not been changed
}

// dormantReference is for kernels without network namespaces: the same table
// under another name and dormant, so that it has no hooks.
func (n *nft) dormantReference(ctx context.Context, family, text string) (string, error) {
	const name = "lanseal_reference"
	_, body, ok := strings.Cut(text, "\ntable "+family+" "+rules.NFTable+" {\n")
	if !ok {
		return "", errors.New("nft: no table to compare")
	}
	load := "table " + family + " " + name + " {\n\tflags dormant\n" + body
	defer func() { _, _ = n.run(ctx, "", "delete", "table", family, name) }()
	if _, err := n.run(ctx, load, "-f", "-"); err != nil {
		return "", err
	}
	out, err := n.listFamily(ctx, family, name)
	out = strings.Replace(out, "table "+family+" "+name+" {\n\tflags dormant\n", "table "+family+" "+rules.NFTable+" {\n", 1)
	return out, err
}

// diffLines names the lines that one listing has and the other has not, each
// with its chain or set.
func diffLines(want, have string) []string {
	w, h := contextLines(want), contextLines(have)
	var out []string
	for _, l := range w.order {
		if h.count[l] < w.count[l] {
			out = append(out, "missing in "+l)
			h.count[l]++
		}
	}
	for _, l := range h.order {
		if w.count[l] < h.count[l] {
			out = append(out, "foreign in "+l)
			w.count[l]++
		}
	}
	if len(out) == 0 && want != have {
		table, _, _ := strings.Cut(want, " {")
		out = append(out, "the rules of "+table+" are in another order")
	}
	return out
}

type lines struct {
	order []string
	count map[string]int
}

func contextLines(s string) lines {
	l := lines{count: map[string]int{}}
	where := ""
	for _, line := range strings.Split(s, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasSuffix(line, "{") && !strings.Contains(line, "="):
			where = strings.TrimSuffix(line, " {")
			line = "declared"
		case line == "" || line == "}":
			continue
		}
		key := where + ": " + line
		if l.count[key] == 0 {
			l.order = append(l.order, key)
		}
		l.count[key]++
	}
	return l
}

// Blocked reads the counter and the per-device sets.
func (n *nft) Blocked(ctx context.Context) (Blocked, error) {
	b := Blocked{ByMAC: map[string]uint64{}, Sent: map[string]uint64{}, Received: map[string]uint64{}}
	out, err := n.run(ctx, "", "-j", "list", "table", "inet", rules.NFTable)
	if err != nil {
		return b, err
	}
	var doc struct {
		Nftables []struct {
			Counter *struct {
				Name           string
				Packets, Bytes uint64
			}
			Set *struct {
				Name string
				Elem []json.RawMessage
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		return b, fmt.Errorf("reading nft's counters: %w", err)
	}
	for _, o := range doc.Nftables {
		if o.Counter != nil && o.Counter.Name == "blocked_total" {
			b.Packets, b.Bytes = o.Counter.Packets, o.Counter.Bytes
		}
		if o.Set == nil {
			continue
		}
		switch o.Set.Name {
		case "blocked":
			eachCounter(o.Set.Elem, func(mac string, packets, _ uint64) { b.ByMAC[mac] = packets })
		case "sent":
			eachCounter(o.Set.Elem, func(mac string, _, bytes uint64) { b.Sent[mac] = bytes })
		case "received4", "received6":
			eachCounter(o.Set.Elem, func(ip string, _, bytes uint64) { b.Received[ip] = bytes })
		}
	}
	return b, nil
}

// eachCounter calls f for each element of a set that counts.
func eachCounter(elements []json.RawMessage, f func(val string, packets, bytes uint64)) {
	for _, raw := range elements {
		var e struct {
			Elem struct {
				Val     string
				Counter struct{ Packets, Bytes uint64 }
			}
		}
		if json.Unmarshal(raw, &e) == nil && e.Elem.Val != "" {
			f(e.Elem.Val, e.Elem.Counter.Packets, e.Elem.Counter.Bytes)
		}
	}
}
