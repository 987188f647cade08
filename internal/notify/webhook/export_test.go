package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
)

// Trust makes a Channel believe a test's certificate authority.
func (c *Channel) Trust(roots *x509.CertPool) {
	c.transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// Transport returns the pool of connections.
func (c *Channel) Transport() *http.Transport { return c.transport }
