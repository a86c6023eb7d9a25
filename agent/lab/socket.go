package lab

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sock is a connected socket inside a host. Only its creation happens on the
// host's thread; everything that may wait is done by the runtime's poller.
type sock struct {
	*os.File
	raw syscall.RawConn
}

// socket makes a socket and connects it to a peer.
func (h *Host) socket(typ, proto int, to netip.AddrPort, deadline time.Time) (*sock, error) {
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(to.Port())})
	if to.Addr().Is4() {
		sa.(*unix.SockaddrInet4).Addr = to.Addr().As4()
	} else {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	}
	fd := -1
	err := h.Do(func() (err error) {
		fd, err = unix.Socket(family, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
		return err
	})
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if typ == unix.SOCK_DGRAM {
		// Every ICMP error is news, also those that UDP would swallow; and
		// datagrams may be cut into fragments.
		if family == unix.AF_INET {
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
		} else {
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
		}
	} else {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	err = unix.Connect(fd, sa)
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	connected := err == nil
	s := &sock{File: os.NewFile(uintptr(fd), to.String())}
	if s.raw, err = s.SyscallConn(); err != nil {
		s.Close()
		return nil, err
	}
	if connected {
		return s, nil
	}
	if err := s.finish(deadline); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// finish waits for a connection in progress.
func (s *sock) finish(deadline time.Time) error {
	if err := s.SetDeadline(deadline); err != nil {
		return err
	}
	var result error
	err := s.raw.Write(func(fd uintptr) bool {
		e, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil || e != 0 {
			result = errors.Join(err, os.NewSyscallError("connect", syscall.Errno(e)))
			return true
		}
		_, err = unix.Getpeername(int(fd))
		return err == nil
	})
	if err != nil {
		return err
	}
	if result == nil {
		err = s.SetDeadline(time.Time{})
	}
	return errors.Join(result, err)
}

// drainErrors empties the error queue, whose content recv has already reported.
func (s *sock) drainErrors() {
	_ = s.raw.Control(func(fd uintptr) {
		buf, oob := make([]byte, 256), make([]byte, 512)
		for {
			if _, _, _, _, err := unix.Recvmsg(int(fd), buf, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT); err != nil {
				return
			}
		}
	})
}
