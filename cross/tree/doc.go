// Package tree describes what a package puts on a router: directories, files
// and links, each with its mode, all owned by root. It knows nothing of package
// formats; ipk and apk write the same Tree, so the two cannot differ in what
// they install.
package tree
