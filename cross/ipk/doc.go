// Package ipk writes packages for opkg, OpenWrt's package manager up to 24.10,
// with the layout that the build system's ipkg-build gives them:
//
//	gzip of a tar of  ./debian-binary    "2.0\n"
//	                  ./data.tar.gz      the files, from ./
//	                  ./control.tar.gz   control, conffiles, scripts
//
// The outer file is a gzip'd tar and no ar archive. Every member begins with
// "./", because the script that makes an index asks for ./control.tar.gz by that
// name. The tars are GNU tar's own form with numbers for owners: opkg reads no
// PAX headers, and everything is root's. Time stamps are fixed, so the same
// input makes the same bytes.
//
// Scripts are not run as they are. postinst and prerm are the build system's
// wrappers round default_postinst and default_prerm of /lib/functions.sh, which
// enable, start, disable and stop the init scripts of the package; the package's
// own part lies beside them as postinst-pkg and prerm-pkg and is called from
// there.
package ipk
