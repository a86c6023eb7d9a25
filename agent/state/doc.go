// Package state decides what the tunnels and the whole are, as a pure
// function: [Step] takes a state, one event and the time, and returns the next
// state and what is to be done. It holds no clocks, sockets or goroutines, so
// every history can be replayed in a test.
package state
