package localdb

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// validity of the certificates: long enough for a server that a developer
// leaves running.
const validity = 365 * 24 * time.Hour

// certificate is a server's PEM-encoded certificate and key, and the
// certificate of the authority that signed it.
type certificate struct{ authority, certificate, key []byte }

// newCertificate makes an authority and one certificate for an address and a
// name. The authority's key is forgotten: it signs nothing else.
func newCertificate(address, name string) (certificate, error) {
	failed := func(what string, err error) (certificate, error) {
		return certificate{}, fmt.Errorf("making a certificate for %s: %s: %w", address, what, err)
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return failed("the authority's key", err)
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return failed("the server's key", err)
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "localdb test authority"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(validity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, &template, &template, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return failed("the authority", err)
	}
	authority, err := x509.ParseCertificate(authorityDER)
	if err != nil {
		return failed("the authority", err)
	}
	serverDER, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    template.NotBefore,
		NotAfter:     template.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{net.ParseIP(address)},
		DNSNames:     []string{name},
	}, authority, &serverKey.PublicKey, authorityKey)
	if err != nil {
		return failed("the server's", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return failed("the server's key", err)
	}
	encode := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	return certificate{
		authority:   encode("CERTIFICATE", authorityDER),
		certificate: encode("CERTIFICATE", serverDER),
		key:         encode("PRIVATE KEY", keyDER),
	}, nil
}
