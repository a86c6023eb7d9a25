package apk

import (
	"bytes"
	"compress/flate"
	"crypto/ecdsa"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"io"
)

// The schemas name what kind of file it is.
const (
	schemaPackage uint32 = 0x676b6370 // "pckg"
	schemaIndex   uint32 = 0x78646e69 // "indx"
)

const (
	blockADB  = 0
	blockSIG  = 1
	blockDATA = 2

	maxBlock = 1<<30 - 1 - 4 // longer ones need the extended header, which nothing of ours does
)

// block writes one block: header, payload in parts, padding.
func block(w io.Writer, typ uint32, parts ...[]byte) error {
	n := 4
	for _, p := range parts {
		n += len(p)
	}
	if n-4 > maxBlock {
		return fmt.Errorf("a block of %d bytes: a file must be below 1 GiB", n)
	}
	if err := binary.Write(w, binary.LittleEndian, typ<<30|uint32(n)); err != nil {
		return err
	}
	for _, p := range append(parts, make([]byte, -n&7)) {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// container writes a whole file: the database, its signature when there is a
// key, and what more writes.
func container(schema uint32, adb []byte, key *ecdsa.PrivateKey, more func(io.Writer) error) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("ADBd")
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	head := binary.LittleEndian.AppendUint32([]byte("ADB."), schema)
	if _, err := w.Write(head); err != nil {
		return nil, err
	}
	if err := block(w, blockADB, adb); err != nil {
		return nil, err
	}
	if key != nil {
		sig, err := signature(schema, adb, key)
		if err != nil {
			return nil, err
		}
		if err := block(w, blockSIG, sig); err != nil {
			return nil, err
		}
	}
	if more != nil {
		if err := more(w); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

const hashSHA512 = 4 // in apk's list of hashes

// signature is the payload of a SIG block: {u8 version, u8 hash, id[16]}, then
// ECDSA in ASN.1 over SHA-512 of schema, that header, and SHA-512 of the
// database.
func signature(schema uint32, adb []byte, key *ecdsa.PrivateKey) ([]byte, error) {
	id, err := KeyID(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	head := append([]byte{0, hashSHA512}, id[:]...)
	sum := sha512.Sum512(adb)
	signed := binary.LittleEndian.AppendUint32(nil, schema)
	signed = append(append(signed, head...), sum[:]...)
	digest := sha512.Sum512(signed)
	// Without a source of randomness the signature is that of RFC 6979: the
	// same key and database make the same file.
	sig, err := key.Sign(nil, digest[:], cryptoSHA512)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return append(head, sig...), nil
}
