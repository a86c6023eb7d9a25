package webui

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
)

// metricWriter writes Prometheus' text format: each family once, with help
// and type, then its samples.
type metricWriter struct{ bytes.Buffer }

func (w *metricWriter) family(name, typ, help string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, typ)
}

// sample writes one value; labels are pairs of name and value.
func (w *metricWriter) sample(name string, v float64, labels ...string) {
	w.WriteString(name)
	if len(labels) > 0 {
		w.WriteByte('{')
		for i := 0; i+1 < len(labels); i += 2 {
			if i > 0 {
				w.WriteByte(',')
			}
			fmt.Fprintf(w, `%s="%s"`, labels[i], escapeLabel(labels[i+1]))
		}
		w.WriteByte('}')
	}
	w.WriteString(" " + strconv.FormatFloat(v, 'g', -1, 64) + "\n")
}

func (w *metricWriter) single(name, typ, help string, v float64, labels ...string) {
	w.family(name, typ, help)
	w.sample(name, v, labels...)
}

func escapeLabel(v string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(strings.ToValidUTF8(v, "?"))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// metrics is GET /metrics.
func (s *Server) metrics(c *gin.Context) {
	ctx := c.Request.Context()
	st, err := s.agent.Status(ctx, Look{})
	if err != nil {
		answerError(c, err)
		return
	}
	w := &metricWriter{}
	w.single("lanseal_build_info", "gauge", "1, with the version as a label.", 1, "version", st.Version)
	w.family("lanseal_state", "gauge", "1 for the state of the whole, 0 for every other.")
	for _, name := range []string{"protected", "degraded", "connecting", "sealed", "open"} {
		w.sample("lanseal_state", truth(st.State == name), "state", name)
	}
	w.single("lanseal_state_since_timestamp_seconds", "gauge", "When the state began, in seconds since 1970.", float64(st.Since.UnixMilli())/1000)
	w.single("lanseal_killswitch_enabled", "gauge", "1 if devices without an exit are held.", truth(st.KillSwitch))
	w.family("lanseal_lock_held", "gauge", "1 if the lock holds.")
	w.sample("lanseal_lock_held", truth(st.Locks.Routing), "lock", "routing")
	w.sample("lanseal_lock_held", truth(st.Locks.Firewall), "lock", "firewall")
	w.single("lanseal_config_valid", "gauge", "1 if the configuration's file is in force.", truth(st.Config.Valid))
	w.single("lanseal_blocked_packets_total", "counter", "Packets of the LAN that were refused.", float64(st.Blocked.Packets))
	w.single("lanseal_blocked_bytes_total", "counter", "Bytes of the LAN that were refused.", float64(st.Blocked.Bytes))
	w.single("lanseal_healed_total", "counter", "Repairs of what others changed.", float64(st.Healed))
	exitMetrics(w, st.Exits)
	if d, err := s.agent.Devices(ctx); err == nil {
		deviceMetrics(w, d)
	}
	c.Data(http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", w.Bytes())
}

func exitMetrics(w *metricWriter, exits []Exit) {
	each := func(name, typ, help string, value func(Exit) (float64, bool)) {
		w.family(name, typ, help)
		for _, e := range exits {
			if v, ok := value(e); ok {
				w.sample(name, v, "exit", e.Name)
			}
		}
	}
	each("lanseal_exit_up", "gauge", "1 if the exit carries traffic.", func(e Exit) (float64, bool) { return truth(e.State == "up"), true })
	each("lanseal_exit_enabled", "gauge", "1 if the exit is enabled.", func(e Exit) (float64, bool) { return truth(e.State != "disabled"), true })
	each("lanseal_exit_receive_bytes_total", "counter", "Bytes received through the exit's device.", func(e Exit) (float64, bool) { return float64(e.Rx), true })
	each("lanseal_exit_transmit_bytes_total", "counter", "Bytes sent through the exit's device.", func(e Exit) (float64, bool) { return float64(e.Tx), true })
	each("lanseal_exit_rtt_seconds", "gauge", "Round trip time of the last answered probe.", func(e Exit) (float64, bool) { return e.RTT / 1000, e.RTT > 0 })
	each("lanseal_exit_handshake_timestamp_seconds", "gauge", "When the last handshake was, in seconds since 1970.", func(e Exit) (float64, bool) {
		if e.Handshake == nil {
			return 0, false
		}
		return float64(e.Handshake.UnixMilli()) / 1000, true
	})
}

// deviceMetrics name devices by address; who scrapes has signed in, or is root.
func deviceMetrics(w *metricWriter, d Devices) {
	each := func(name, typ, help string, value func(Device) float64) {
		w.family(name, typ, help)
		for _, v := range d.Devices {
			if v.MAC != "" {
				w.sample(name, value(v), "mac", v.MAC, "device", v.Name)
			}
		}
	}
	each("lanseal_device_online", "gauge", "1 if the device answers on the LAN.", func(v Device) float64 { return truth(v.Online) })
	each("lanseal_device_blocked_packets_total", "counter", "Packets of the device that were refused.", func(v Device) float64 { return float64(v.Blocked) })
	if d.Counted {
		each("lanseal_device_receive_bytes_total", "counter", "Bytes that the device got from outside the LAN.", func(v Device) float64 { return float64(v.Rx) })
		each("lanseal_device_transmit_bytes_total", "counter", "Bytes that the device sent out of the LAN.", func(v Device) float64 { return float64(v.Tx) })
	}
}
