package tunnel

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

// ChildCommand is the hidden subcommand upon which main calls [ChildMain] with
// the arguments that follow it, before it does anything else.
const ChildCommand = "wireguard-child"

const (
	readyEnv  = "LANSEAL_READY_FD" // where to say that the device is served
	readyWord = "ready"

	exitFailed = 1
	exitUsage  = 2
	exitNoTUN  = 3
)

// ChildMain serves one userspace WireGuard device until the device is deleted
// or SIGTERM comes, and returns the exit status. It knows no key before the
// agent sets one through the socket.
func ChildMain(args []string) int {
	if len(args) != 1 || !validDevice(args[0]) {
		return exitUsage
	}
	ready := func(string) {}
	if fd, err := strconv.Atoi(os.Getenv(readyEnv)); err == nil {
		unix.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "ready")
		ready = func(word string) {
			_, _ = f.WriteString(word)
			_ = f.Close()
		}
	}
	err := serve(args[0], func() { ready(readyWord) })
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrNoTUN):
		return exitNoTUN
	default:
		ready(err.Error())
		return exitFailed
	}
}

func serve(name string, ready func()) error {
	// A SIGHUP is the agent's to answer, and there is nobody to interrupt us.
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGPIPE)
	term := make(chan os.Signal, 1)
	signal.Notify(term, unix.SIGTERM)

	events := make(chan tun.Event, 4)
	dev, err := openTUN(name, events)
	if err != nil {
		return err
	}
	if err := markLink(name); err != nil {
		return err
	}
	watch, err := watchLink(name)
	if err != nil {
		return err
	}
	listener, err := listenSocket(name)
	if err != nil {
		return err
	}
	wg := device.NewDevice(dev, new(udpBind), device.NewLogger(device.LogLevelSilent, ""))
	lost := make(chan struct{})
	go func() {
		watch.run(events)
		close(lost)
	}()
	refused := make(chan struct{})
	go func() {
		defer close(refused)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go wg.IpcHandle(c)
		}
	}()
	ready()

	select {
	case <-term:
	case <-lost:
	case <-refused:
	case <-wg.Wait():
	}
	_ = listener.Close() // removes the socket
	wg.Close()
	return nil
}

// tunDevice is the library's TUN without its watchers: they poll every second.
type tunDevice struct {
	tun.Device
	events chan tun.Event
}

// Events are made by watchLink.
func (t tunDevice) Events() <-chan tun.Event { return t.events }

func openTUN(name string, events chan tun.Event) (tun.Device, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
		return nil, ErrNoTUN
	}
	if err != nil {
		return nil, fmt.Errorf("opening /dev/net/tun: %w", err)
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return nil, fmt.Errorf("naming the device: %w", err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_TUN_EXCL)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return nil, fmt.Errorf("creating the TUN device: %w", err)
	}
	dev, _, err := tun.CreateUnmonitoredTUNFromFD(fd)
	if err != nil {
		return nil, fmt.Errorf("preparing the TUN device: %w", err)
	}
	return tunDevice{dev, events}, nil
}

// listenSocket removes what is in its way only if nobody listens there.
func listenSocket(name string) (net.Listener, error) {
	defer unix.Umask(unix.Umask(0o077))
	if err := os.MkdirAll(socketDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the socket's folder: %w", err)
	}
	path := socketPath(name)
	if c, err := net.Dial("unix", path); err == nil { //nolint:noctx // a local socket: at once or not at all
		_ = c.Close()
		return nil, errors.New("the socket is in use")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing a stale socket: %w", err)
	}
	l, err := net.Listen("unix", path) //nolint:noctx // as above
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return l, nil
}
