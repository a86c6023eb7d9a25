package tunnel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/lanseal/lanseal/rules"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
)

// udpBind is the child's transport in place of the library's. It differs where
// that matters here:
//
//   - its sockets bear the transport mark from their making, whether or not
//     anybody has set one;
//   - an endpoint may change from IPv4 to IPv6: the library reuses its address
//     buffers so that the first packets then go to a wrong address;
//   - the source address is the routing's to choose for every packet, so that a
//     new WAN address takes effect at once, and nobody listens to routes;
//   - it holds 32 buffers of 64 KiB per family, not 128.
type udpBind struct {
	mu     sync.Mutex
	v4, v6 *udpSocket
}

// batch is how many packets one system call moves at most.
const batch = 32

const socketBuffer = 1 << 20 // bytes, each way

type udpSocket struct {
	conn *net.UDPConn
	io   batcher
	pool sync.Pool // of *[]ipv4.Message, for sending
}

// batcher is what ipv4 and ipv6 have in common; their messages are one type.
type batcher interface {
	ReadBatch(msgs []ipv4.Message, flags int) (int, error)
	WriteBatch(msgs []ipv4.Message, flags int) (int, error)
}

// udpEndpoint is an address and nothing else.
type udpEndpoint struct{ netip.AddrPort }

func (udpEndpoint) ClearSrc()             {}
func (udpEndpoint) SrcToString() string   { return "" }
func (udpEndpoint) SrcIP() netip.Addr     { return netip.Addr{} }
func (e udpEndpoint) DstIP() netip.Addr   { return e.Addr() }
func (e udpEndpoint) DstToString() string { return e.String() }

func (e udpEndpoint) DstToBytes() []byte {
	b, _ := e.MarshalBinary()
	return b
}

func (*udpBind) ParseEndpoint(s string) (conn.Endpoint, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return nil, err
	}
	return udpEndpoint{plainAddrPort(a)}, nil
}

func (*udpBind) BatchSize() int { return batch }

// Open listens on one port for both families; a kernel may have only one.
func (b *udpBind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.v4 != nil || b.v6 != nil {
		return nil, 0, conn.ErrBindAlreadyOpen
	}
	for tries := 0; ; tries++ {
		v4, got, err := openUDP("udp4", port)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, 0, err
		}
		v6, got, err := openUDP("udp6", got)
		if port == 0 && v4 != nil && errors.Is(err, unix.EADDRINUSE) && tries < 100 {
			_ = v4.conn.Close()
			continue // that port was free for IPv4 only
		}
		if err != nil && (v4 == nil || !errors.Is(err, unix.EAFNOSUPPORT)) {
			if v4 != nil {
				_ = v4.conn.Close()
			}
			return nil, 0, err
		}
		b.v4, b.v6 = v4, v6
		var receive []conn.ReceiveFunc
		for _, s := range []*udpSocket{v4, v6} {
			if s != nil {
				receive = append(receive, s.receiver())
			}
		}
		return receive, got, nil
	}
}

// openUDP returns the wanted port unchanged when it fails.
func openUDP(network string, port uint16) (*udpSocket, uint16, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return setOption(c, prepareUDP) }}
	pc, err := lc.ListenPacket(context.Background(), network, ":"+strconv.Itoa(int(port)))
	if err != nil {
		return nil, port, err
	}
	uc, ok := pc.(*net.UDPConn)
	if !ok {
		return nil, port, errors.New("not a UDP socket")
	}
	s := &udpSocket{conn: uc}
	if network == "udp4" {
		s.io = ipv4.NewPacketConn(uc)
	} else {
		s.io = ipv6.NewPacketConn(uc)
	}
	s.pool.New = func() any { return ptr(newMessages()) }
	if a, ok := uc.LocalAddr().(*net.UDPAddr); ok {
		port = a.AddrPort().Port()
	}
	return s, port, nil
}

// prepareUDP runs before the socket has an address.
func prepareUDP(fd int) error {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, socketBuffer)
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(rules.MarkTransport))
}

func newMessages() []ipv4.Message {
	msgs := make([]ipv4.Message, batch)
	for i := range msgs {
		msgs[i].Buffers = make([][]byte, 1)
	}
	return msgs
}

func (s *udpSocket) receiver() conn.ReceiveFunc {
	msgs := newMessages() // of this receiver alone
	return func(packets [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
		k := min(len(packets), batch)
		for i := range k {
			msgs[i].Buffers[0] = packets[i]
		}
		n, err := s.io.ReadBatch(msgs[:k], 0)
		if err != nil {
			return 0, err
		}
		for i := range n {
			sizes[i] = 0
			if a, ok := msgs[i].Addr.(*net.UDPAddr); ok {
				sizes[i], from[i] = msgs[i].N, udpEndpoint{udpAddrPort(a)}
			}
		}
		return n, nil
	}
}

// Send is called by many goroutines at once.
func (b *udpBind) Send(packets [][]byte, to conn.Endpoint) error {
	e, ok := to.(udpEndpoint)
	if !ok {
		return conn.ErrWrongEndpointType
	}
	b.mu.Lock()
	s := b.v4
	if e.Addr().Is6() {
		s = b.v6
	}
	b.mu.Unlock()
	if s == nil {
		return unix.EAFNOSUPPORT
	}
	addr := net.UDPAddrFromAddrPort(e.AddrPort)
	msgs, ok := s.pool.Get().(*[]ipv4.Message)
	if !ok {
		return errors.New("no buffers")
	}
	defer s.pool.Put(msgs)
	for chunk := range slices.Chunk(packets, batch) {
		for i, p := range chunk {
			(*msgs)[i].Buffers[0], (*msgs)[i].Addr = p, addr
		}
		for left := (*msgs)[:len(chunk)]; len(left) > 0; {
			n, err := s.io.WriteBatch(left, 0)
			if err != nil {
				return err
			}
			left = left[n:]
		}
	}
	return nil
}

// SetMark is for another mark than the one that is there already.
func (b *udpBind) SetMark(mark uint32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range []*udpSocket{b.v4, b.v6} {
		if s == nil {
			continue
		}
		raw, err := s.conn.SyscallConn()
		if err != nil {
			return err
		}
		err = setOption(raw, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Close ends the receivers.
func (b *udpBind) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	for _, s := range []*udpSocket{b.v4, b.v6} {
		if s != nil {
			err = errors.Join(err, s.conn.Close())
		}
	}
	b.v4, b.v6 = nil, nil
	return err
}
