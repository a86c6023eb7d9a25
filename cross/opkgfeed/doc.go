// Package opkgfeed makes a feed that opkg installs from: Packages, Packages.gz
// and Packages.sig beside the .ipk files.
//
// opkg checks the signature of the index alone; the index holds the SHA-256 of
// every package. The signature is Ed25519 in signify's form, as OpenWrt's usign
// writes and reads it: a comment line, and one line of base64. A key is known by
// a random fingerprint of eight bytes; a router looks for the public key under
// the fingerprint's name in /etc/opkg/keys.
package opkgfeed
