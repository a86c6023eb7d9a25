package webui

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// prometheus finds Debian's prometheus and promtool, or ends the test.
func prometheus(t *testing.T) (server, tool string) {
	t.Helper()
	for _, dir := range []string{"/usr/bin", "../bin/prometheus/usr/bin"} {
		server, tool = filepath.Join(dir, "prometheus"), filepath.Join(dir, "promtool")
		_, err := os.Stat(server)
		_, err2 := os.Stat(tool)
		if err == nil && err2 == nil {
			return server, tool
		}
	}
	if os.Getenv("LANSEAL_LAB") == "require" {
		t.Fatal("LANSEAL_LAB=require, and there is no prometheus: .ci/prometheus.sh bin/prometheus")
	}
	t.Skip("there is no prometheus: .ci/prometheus.sh bin/prometheus")
	return "", ""
}

func TestMetricsText(t *testing.T) {
	h := open(t)
	a := h.asRoot("GET", "/metrics", "")
	for _, want := range []string{
		`lanseal_state{state="protected"} 1`, `lanseal_state{state="sealed"} 0`, `lanseal_exit_up{exit="no"} 0`,
		`lanseal_exit_rtt_seconds{exit="se"} 0.0182`, `lanseal_blocked_packets_total 7`, `lanseal_lock_held{lock="routing"} 1`,
		`lanseal_device_receive_bytes_total{mac="02:00:00:00:00:01",device="tv"} 5`, `lanseal_build_info{version="0.1.0"} 1`,
	} {
		if !strings.Contains(a.body, want+"\n") {
			t.Errorf("%s is missing in\n%s", want, a.body)
		}
	}
	if escapeLabel("a\"b\\c\nd\xff") != `a\"b\\c\nd?` {
		t.Error(escapeLabel("a\"b\\c\nd\xff"))
	}
	h.f.devices.Counted = false // iptables: no family rather than zeros
	if a := h.asRoot("GET", "/metrics", ""); strings.Contains(a.body, "lanseal_device_receive") {
		t.Error("traffic that is not counted is told as 0")
	}
}

func TestPromtool(t *testing.T) {
	_, tool := prometheus(t)
	h := open(t)
	cmd := exec.Command(tool, "check", "metrics")
	cmd.Stdin = strings.NewReader(h.asRoot("GET", "/metrics", "").body)
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	if out, err := exec.Command(tool, "check", "rules", "../docs/lanseal-alerts.yml").CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
	// The alerts and the dashboard speak of metrics that there are.
	text := h.asRoot("GET", "/metrics", "").body
	for _, file := range []string{"../docs/lanseal-alerts.yml", "../docs/lanseal-grafana.json"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.FieldsFunc(string(b), func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
			if strings.HasPrefix(word, "lanseal_") && !strings.Contains(text, "# TYPE "+word+" ") {
				t.Errorf("%s speaks of %s", file, word)
			}
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(b) {
			t.Errorf("%s is no JSON", file)
		}
	}
}

// The password by basic authentication is checked once in a while, guesses are
// slowed like anybody's.
func TestScraping(t *testing.T) {
	h := open(t)
	basic := func(password string) answer {
		return h.do("GET", "/metrics", "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("prometheus:"+password)))
	}
	for range 100 {
		h.want(basic("right password"), 200, "lanseal_exit_up")
	}
	if h.f.checked != 1 {
		t.Errorf("the password was checked %d times", h.f.checked)
	}
	h.want(basic("wrong"), http.StatusUnauthorized)
	h.now.ahead = scrapeLife + time.Minute
	h.want(basic("right password"), 200)
	if h.f.checked != 3 {
		t.Errorf("the password was checked %d times", h.f.checked)
	}
	for range 100 {
		basic("guess")
	}
	if h.f.checked > 25 {
		t.Errorf("%d guesses were checked", h.f.checked)
	}
	h.want(h.do("GET", "/api/v1/status", "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("x:right password"))), http.StatusUnauthorized)
}

// A real Prometheus signs in by basic authentication and scrapes.
func TestPrometheusScrapes(t *testing.T) {
	server, _ := prometheus(t)
	h := open(t)
	dir := t.TempDir()
	config := fmt.Sprintf("global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: lanseal\n  basic_auth: {username: prometheus, password: right password}\n  static_configs:\n  - targets: ['%s']\n", h.at)
	if err := os.WriteFile(dir+"/p.yml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	at := freeAddress(t)
	var log bytes.Buffer
	cmd := exec.Command(server, "--config.file="+dir+"/p.yml", "--storage.tsdb.path="+dir+"/data", "--web.listen-address="+at)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	limit := time.After(60 * time.Second)
	for {
		resp, err := http.Get("http://" + at + "/api/v1/query?query=lanseal_exit_up")
		if err == nil {
			var b bytes.Buffer
			_, _ = b.ReadFrom(resp.Body)
			resp.Body.Close()
			if strings.Contains(b.String(), `"exit":"se"`) && strings.Contains(b.String(), `"1"`) {
				return
			}
		}
		select {
		case <-limit:
			t.Fatalf("nothing was scraped: %v\n%s", err, log.String())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
