// Package apk writes packages and indexes for apk-tools 3, OpenWrt's package
// manager since 25.12: what "apk mkpkg", "apk mkndx" and "apk adbsign" write,
// without a build of apk on the machine that packs.
//
// # The file
//
//	"ADBd", then raw deflate of:
//	"ADB."  u32 schema ("pckg" or "indx")
//	block   ADB   the database: everything but file contents
//	block   SIG   none or more signatures of the database
//	block   DATA  the content of one file; in a package only
//
// A block is a u32 of type (2 bits) and length (30 bits, counting the u32
// itself), its payload, and zeros up to a multiple of eight. Numbers are
// little-endian everywhere.
//
// # The database
//
// It begins with {u8 0, u8 0, u16 0, u32 root} and holds values. A value is a
// u32: four bits of type, and 28 bits that are either a small number or the
// offset of something larger, counted from the begin of the database:
//
//	0 null   1 number below 2^28   2, 3 number of 32, 64 bits (aligned to 4)
//	8, 9, a  bytes with a length of 8, 16, 32 bits before them (aligned to that)
//	e        object, and list: u32 slots, the first one counting itself and the
//	         others; null slots at the end are left out, and an object of nulls
//	         is null itself (aligned to 4)
//
// Type d, array, exists, but apk writes its lists as objects. What has the same
// bytes is stored once (an alignment that does not fit makes a second copy).
// This writer makes the same layout as apk does, to the last byte of the
// database, so its packages are as good as those of the build system and cannot
// meet a corner of the reader that those do not meet. The compressed bytes
// differ: the deflate is Go's.
//
// # What vouches for what
//
// The database holds the SHA-256 of every file. The signature is over the
// SHA-512 of the database. An index holds the SHA-256 of each package's
// database, so signing the index is enough; apk then takes the package's own
// signature as an addition. In the package's info the field "hashes" is no
// hash of this kind but an identity: the first 20 bytes of the SHA-256 over the
// database while the field is zero.
//
// Package read, below this one, reads the format and shares no code with this
// package.
package apk
