// Package tai64n takes the place of the WireGuard library's package of that
// name in one build of the tests: its time is that of the lab's stand-in clock,
// so that a tunnel's handshakes can be of another time than the host's.
package tai64n

import (
	"bytes"
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"time"
)

// TimestampSize is that of the protocol: whitepaper, section 5.4.2.
const TimestampSize = 12

// Timestamp is a time as a handshake carries it.
type Timestamp [TimestampSize]byte

// Now is the stand-in's time.
func Now() (t Timestamp) {
	b, _ := os.ReadFile("/run/lanseal-lab-clock")
	ahead, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	now := time.Now().Add(time.Duration(ahead) * time.Second)
	binary.BigEndian.PutUint64(t[:], 1<<62+10+uint64(now.Unix()))
	binary.BigEndian.PutUint32(t[8:], uint32(now.Nanosecond()))
	return t
}

// After says whether a time is later than another.
func (t Timestamp) After(other Timestamp) bool { return bytes.Compare(t[:], other[:]) > 0 }
