package apk

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const cryptoSHA512 = crypto.SHA512

// NewKey makes a signing key on P-256, the curve that OpenWrt uses.
func NewKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// KeyID is how a signature names its key: the first 16 bytes of the SHA-512 of
// the public point, uncompressed, without the ASN.1 round it.
func KeyID(pub *ecdsa.PublicKey) (id [16]byte, err error) {
	point, err := pub.Bytes()
	if err != nil {
		return id, fmt.Errorf("encoding the public key: %w", err)
	}
	sum := sha512.Sum512(point)
	return [16]byte(sum[:16]), nil
}

// MarshalKey is the private key in PEM, as "openssl ecparam -genkey -noout"
// writes it.
func MarshalKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// MarshalPublic is the public key in PEM, for /etc/apk/keys.
func MarshalPublic(pub *ecdsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// ParseKey reads a private key in PEM, of openssl's either form.
func ParseKey(text []byte) (*ecdsa.PrivateKey, error) {
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return nil, errors.New("no private key in PEM")
		}
		var key any
		var err error
		switch b.Type {
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(b.Bytes)
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
		default: // "EC PARAMETERS" comes first when openssl is not told -noout
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the private key: %w", err)
		}
		ec, ok := key.(*ecdsa.PrivateKey)
		if !ok || ec.Curve != elliptic.P256() {
			return nil, errors.New("the private key is not on P-256")
		}
		return ec, nil
	}
}
