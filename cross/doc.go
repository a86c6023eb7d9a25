// Command cross builds the agent for every router and packs it: static
// binaries, .ipk and .apk packages, and a signed feed for each architecture. It
// needs Go and, for the size table, xz; no SDK, no package manager, no root.
//
//	go run ./cross build      dist/bin/TARGET/lanseal for every target
//	go run ./cross check      builds everything a second time, from another
//	                          folder and with an empty cache, and compares
//	go run ./cross size       raw, xz and gz of every binary, against the budget
//	go run ./cross ipk, apk   builds, and writes one kind of package
//	go run ./cross feed       indexes and signs the packages that are in dist
//	go run ./cross packages   all of it: build, ipk, apk, feed
//
// targets.tsv says what is built, manifest.go what a package holds. The formats
// are libraries below: tree (what is installed), ipk, opkgfeed, apk and apk/read.
//
// The same source, version and Go make the same bytes, and packages are the same
// for the same keys. The keys lie in dist/keys, are made on first use and are
// never committed; who publishes a feed keeps them.
package main
