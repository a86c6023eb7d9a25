// Package store is lanseal's memory: what it needs to remember across restarts
// and reboots, and nothing that decides whether the LAN is sealed. A store that
// is lost, damaged or cannot be written costs history, never protection, so
// [Open] always succeeds and says what was wrong.
//
// There are two files. The live one is a bbolt database in a directory that is
// in RAM on OpenWrt, because bbolt maps its file to write it, and jffs2 refuses
// that. The checkpoint is a small copy of what matters in flash; it is written
// whole, beside the old one, and renamed over it, so that a power cut at any
// moment leaves the old or the new one. It is never opened to be written.
//
// Flash wears out by being written, so the checkpoint has a budget: after a
// change of the configuration, at a clean end, and else at most every 6 hours
// and only if something changed; at most 64 KiB each and 1 MB a day.
//
// Who records something only puts it into memory, under a mutex that is never
// held while a file is touched: the agent's loop must not wait for a disk. One
// goroutine, [Store.Run], writes what has gathered in one transaction every
// few seconds at most, and sleeps while nothing gathers. Flushing on the loop's
// own tick would be simpler, but a directory on a slow disk can hold up a write
// for seconds, and the loop is what heals the seal.
package store
