package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/netip"
	"time"
)

// Trust makes a Channel believe a test's certificate authority.
func (c *Channel) Trust(roots *x509.CertPool) {
	c.transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// Transport returns the pool of connections.
func (c *Channel) Transport() *http.Transport { return c.transport }

// Allows says what the guard says of an address.
func (c *Channel) Allows(a netip.Addr) bool { return c.guard.allows(a) }

// RetryAfter reads a header.
func RetryAfter(value string, now time.Time) time.Duration { return retryAfter(value, now) }
