package queue

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// identity is what the query says of TLS: whom to trust, and who we are.
type identity struct {
	roots        *x509.CertPool // nil: the system's
	certificates []tls.Certificate
	anyHost      bool // each host is held to its own name, not all to the first one's
}

// takeIdentity takes tls_ca, tls_cert and tls_key, names of PEM files, out of
// the query: go-redis does not know them.
func (a *address) takeIdentity() (*identity, error) {
	ca, cert, key := a.query.Get("tls_ca"), a.query.Get("tls_cert"), a.query.Get("tls_key")
	for _, name := range []string{"tls_ca", "tls_cert", "tls_key"} {
		a.query.Del(name)
	}
	id := &identity{anyHost: a.kind != ""}
	switch {
	case ca+cert+key == "":
		return id, nil
	case a.scheme != "rediss":
		return nil, errors.New("tls_ca, tls_cert and tls_key need rediss://, rediss-sentinel:// or rediss-cluster://")
	case (cert == "") != (key == ""):
		return nil, errors.New("tls_cert and tls_key go together")
	}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("tls_ca: %w", err)
		}
		id.roots = x509.NewCertPool()
		if !id.roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls_ca: no certificate in %s", ca)
		}
	}
	if cert != "" {
		own, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("tls_cert and tls_key: %w", err)
		}
		id.certificates = []tls.Certificate{own}
	}
	return id, nil
}

// complete sets what go-redis has not: c is its configuration, nil without TLS.
func (id *identity) complete(c *tls.Config) {
	if c == nil {
		return
	}
	c.MinVersion = tls.VersionTLS12
	c.RootCAs, c.Certificates = id.roots, id.certificates
	if id.anyHost {
		c.ServerName = "" // then crypto/tls takes the name of the host that it connects to
	}
}
