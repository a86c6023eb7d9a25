// Package read reads what apk-tools 3 reads: packages and indexes. It is
// written from the description of the format and from apk's own reader, shares
// no code with the writer in package apk, and so can find what the writer gets
// wrong. It trusts nothing: a length, an offset or a count that does not fit is
// an error, and so is a file whose content does not have the hash that the
// database states.
//
// Package and Index check everything that can be checked without a key; whether
// the right key signed is asked with VerifiedBy.
package read
