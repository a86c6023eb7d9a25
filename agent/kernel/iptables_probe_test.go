package kernel

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// watch counts what arrives on a host's wire.
func (l *iptLab) watch(t *testing.T, host *iptNS) {
	t.Helper()
	var capture int
	var err error
	host.do(func() {
		var link netlink.Link
		if link, err = netlink.LinkByName("eth0"); err != nil {
			return
		}
		proto := uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8
		if capture, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(proto)); err != nil {
			return
		}
		_ = unix.SetsockoptInt(capture, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
		_ = unix.SetsockoptTimeval(capture, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200000})
		err = unix.Bind(capture, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: link.Attrs().Index})
	})
	if err != nil {
		t.Fatalf("lab: capture: %v", err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := unix.Recvfrom(capture, buf, 0)
			select {
			case <-stop:
				return
			default:
			}
			if sa, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && sa.Pkttype != unix.PACKET_OUTGOING {
				l.classify(buf[:n], host.name)
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
		unix.Close(capture)
	})
}

func (l *iptLab) classify(p []byte, wire string) {
	var dst netip.Addr
	head := 0
	switch {
	case len(p) > 28 && p[0]>>4 == 4:
		dst, head = netip.AddrFrom4([4]byte(p[16:20])), int(p[0]&15)*4
	case len(p) > 48 && p[0]>>4 == 6:
		dst, head = netip.AddrFrom16([16]byte(p[24:40])), 40
	}
	if dst != netip.MustParseAddr(iptTarget4) && dst != netip.MustParseAddr(iptTarget6) {
		return
	}
	port := int(p[head+2])<<8 | int(p[head+3])
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case port == iptControl:
		l.control.Add(1)
	case port > iptFirstProbe:
		l.seen[port][wire]++
	default:
		l.strays++
	}
}

// strayed counts frames to the target that no probe sent.
func (l *iptLab) strayed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.strays
}

func (l *iptLab) showed(port int) iptCount {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.seen[port])
}

// send sends UDP and TCP, IPv4 and IPv6, from the client's addresses that end
// in host, to a port of their own, and returns it: showed says where they went.
// A control packet of the router's own follows them to the WAN, so that a zero
// there means something.
func (l *iptLab) send(t *testing.T, host string) (port int) {
	t.Helper()
	l.mu.Lock()
	l.port++
	port = l.port
	l.seen[port] = iptCount{}
	l.mu.Unlock()
	l.client.do(func() {
		for _, s := range []struct {
			domain   int
			src, dst string
		}{{unix.AF_INET, "192.168.1." + host, iptTarget4}, {unix.AF_INET6, "fd01::" + host, iptTarget6}} {
			for _, typ := range []int{unix.SOCK_DGRAM, unix.SOCK_STREAM} {
				fd, err := unix.Socket(s.domain, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					t.Errorf("probe: %v", err)
					continue
				}
				if err := unix.Bind(fd, iptSockaddr(s.src, 0)); err != nil {
					t.Errorf("probe: %s: %v", s.src, err)
				}
				if err := unix.Connect(fd, iptSockaddr(s.dst, port)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
					t.Errorf("probe: %v", err)
				}
				if typ == unix.SOCK_DGRAM {
					_, _ = unix.Write(fd, []byte("probe"))
				}
				unix.Close(fd)
			}
		}
	})
	controls := l.control.Load()
	if _, err := l.sender.Write([]byte("control")); err != nil {
		t.Fatalf("control: %v", err)
	}
	for end := time.Now().Add(2 * time.Second); l.control.Load() == controls; {
		if time.Now().After(end) {
			t.Fatal("the control packet did not show on the WAN's wire: this check sees nothing")
		}
		time.Sleep(200 * time.Microsecond)
	}
	return port
}

func iptMarked(mark int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			if mark != 0 {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark)
			}
		})
	}
}

func iptSockaddr(addr string, port int) unix.Sockaddr {
	if a := netip.MustParseAddr(addr); a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: port}
	}
	return &unix.SockaddrInet6{Addr: netip.MustParseAddr(addr).As16(), Port: port}
}

// ask sends one packet, or opens a connection, and says who answered:
// "se 10.64.0.2", "refused" or "silence".
func (l *iptLab) ask(t *testing.T, from *iptNS, network, src, dst string, port, mark int) string {
	t.Helper()
	answer := ""
	from.do(func() {
		d := net.Dialer{Timeout: 300 * time.Millisecond, Control: iptMarked(mark)}
		if src != "" {
			ip := net.ParseIP(src)
			d.LocalAddr = &net.UDPAddr{IP: ip}
			if network == "tcp" {
				d.LocalAddr = &net.TCPAddr{IP: ip}
			}
		}
		c, err := d.Dial(network, net.JoinHostPort(dst, fmt.Sprint(port)))
		if err == nil {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(300 * time.Millisecond))
			if network == "udp" {
				_, err = c.Write([]byte("?"))
			}
			if err == nil {
				var n int
				buf := make([]byte, 64)
				if n, err = c.Read(buf); err == nil {
					answer = string(buf[:n])
					return
				}
			}
		}
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			answer = "silence"
		case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
			answer = "refused"
		default:
			answer = err.Error()
		}
	})
	return answer
}
