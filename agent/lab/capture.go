package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// captureBuffer holds seconds of the worst flood the lab makes.
const captureBuffer = 64 << 20

// openCapture opens a packet socket on one device of the calling thread's
// namespace that hears only what arrives.
func openCapture(index int) (int, error) {
	// Protocol 0 first: a socket that is not bound yet would hear every device.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("opening a packet socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: index}))
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("preparing a packet socket: %w", err)
	}
	return fd, nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// reader moves frames from one packet socket to the wire.
type reader struct {
	fd   int
	asks chan caughtUp
	stop chan struct{}
	done chan struct{}
}

// caughtUp waits until what came before a moment has been read.
type caughtUp struct {
	moment time.Time
	done   chan struct{}
}

// outOfOrder is by how much a frame may be stamped earlier than one that was
// queued before it: each processor stamps by itself.
const outOfOrder = 5 * time.Millisecond

func (r *reader) run(take func(*Frame), fail func(error)) {
	defer close(r.done)
	buf, oob := make([]byte, 1<<17), make([]byte, 128)
	var waiting []caughtUp
	answer := func(is func(caughtUp) bool) {
		waiting = slices.DeleteFunc(waiting, func(w caughtUp) bool {
			if is(w) {
				close(w.done)
				return true
			}
			return false
		})
	}
	for {
		select {
		case w := <-r.asks:
			waiting = append(waiting, w)
		default:
		}
		n, oobn, _, _, err := unix.Recvmsg(r.fd, buf, oob, unix.MSG_TRUNC)
		switch {
		case err == nil:
			keep := min(n, len(buf), ringBytes)
			at := stamp(oob[:oobn])
			take(decode(at, append([]byte(nil), buf[:keep]...), n))
			answer(func(w caughtUp) bool { return at.After(w.moment.Add(outOfOrder)) })
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENETDOWN): // the cable is out; it may come back
		case !errors.Is(err, unix.EAGAIN):
			fail(err)
			return
		}
		answer(func(caughtUp) bool { return true }) // there is nothing more to read
		select {
		case <-r.stop:
			return
		default:
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}, 10)
	}
}

// stamp is the kernel's time of arrival, so that a late reader does not count
// a frame into the wrong period.
func stamp(oob []byte) time.Time {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err == nil {
		for _, m := range msgs {
			if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
				return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
			}
		}
	}
	return time.Now()
}

// drops reads, and thereby resets, the kernel's count of lost frames.
func (r *reader) drops() uint32 {
	st, err := unix.GetsockoptTpacketStats(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return st.Drops
}

// WritePcap writes the ring for a human with wireshark; the path is under
// $TMPDIR and stays after the lab is closed.
func (w *Wire) WritePcap(name string) (string, error) {
	f, err := os.CreateTemp("", "lanseal-"+filepath.Base(name)+"-"+w.Name+"-*.pcap")
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b []byte
	le := binary.LittleEndian
	for _, v := range []uint32{0xa1b23c4d, 2 | 4<<16, 0, 0, 1 << 17, 1} { // nanoseconds, v2.4, Ethernet
		b = le.AppendUint32(b, v)
	}
	for _, fr := range w.Frames() {
		for _, v := range []int{int(fr.Time.Unix()), fr.Time.Nanosecond(), len(fr.Raw), fr.Length} {
			b = le.AppendUint32(b, uint32(v))
		}
		b = append(b, fr.Raw...)
	}
	if _, err := f.Write(b); err != nil {
		return "", fmt.Errorf("writing %s: %w", f.Name(), err)
	}
	return f.Name(), nil
}
