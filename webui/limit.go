package webui

import (
	"net"
	"net/netip"
	"sync"
)

// Bounds of connections: a browser needs six and a stream.
const (
	mostConnections  = 128
	mostPerAddress   = 24
	mostStreams      = 48
	mostStreamsPerIP = 8
)

// limitedListener closes what is too much at once, so that neither memory nor
// other people's places are used up.
type limitedListener struct {
	net.Listener
	mu  sync.Mutex
	all int
	by  map[netip.Addr]int
}

func newLimitedListener(l net.Listener) net.Listener {
	return &limitedListener{Listener: l, by: map[netip.Addr]int{}}
}

// Accept waits for a connection that may stay.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who := peer(c)
		l.mu.Lock()
		fits := l.all < mostConnections && l.by[who] < mostPerAddress
		if fits {
			l.all++
			l.by[who]++
		}
		l.mu.Unlock()
		if fits {
			return &limitedConn{Conn: c, left: func() { l.leave(who) }}, nil
		}
		_ = c.Close()
	}
}

func (l *limitedListener) leave(who netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.by[who]--; l.by[who] <= 0 {
		delete(l.by, who)
	}
}

type limitedConn struct {
	net.Conn
	once sync.Once
	left func()
}

func (c *limitedConn) Close() error {
	c.once.Do(c.left)
	return c.Conn.Close()
}

func peer(c net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
