package email

import (
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail/smtp"
)

// How a connection is encrypted.
const (
	implicitTLS      = "implicit" // from the first byte: smtps
	tlsRequired      = "required" // by STARTTLS, or not at all
	tlsOpportunistic = "opportunistic"
	tlsNone          = "none"
)

// server is what SMTP_URL says.
type server struct {
	host, address  string // address has the port
	encryption     string
	user, password string // "": no authentication
	tls            *tls.Config
}

// parseServer reads an SMTP_URL. The parser's own errors hold the URL, and with it
// the password, so they are not passed on.
func parseServer(raw string, config *tls.Config) (*server, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("is not a URL (special characters of a password are written as %40 and so on)")
	}
	s := &server{host: u.Hostname(), user: u.User.Username()}
	s.password, _ = u.User.Password()
	port, err := s.encrypt(u)
	switch {
	case err != nil:
		return nil, err
	case s.host == "":
		return nil, errors.New("has no host")
	case strings.Trim(u.Path, "/") != "" || u.Fragment != "" || u.Opaque != "":
		return nil, errors.New("ends with the port (special characters of a password are written as %2F and so on)")
	case (s.user == "") != (s.password == ""):
		return nil, errors.New("needs a user and a password, or neither")
	}
	s.address = net.JoinHostPort(s.host, cmp.Or(u.Port(), port))
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	s.tls = config.Clone()
	s.tls.ServerName = cmp.Or(s.tls.ServerName, s.host)
	return s, nil
}

// encrypt sets how u's connection is encrypted and returns its usual port.
func (s *server) encrypt(u *url.URL) (port string, err error) {
	query := u.Query()
	asked := query.Get("tls")
	for name := range query {
		if name != "tls" || len(query[name]) != 1 {
			return "", fmt.Errorf("has no parameter %q: tls is the only one, once", name)
		}
	}
	switch {
	case u.Scheme == "smtps" && asked == "":
		s.encryption = implicitTLS
		return "465", nil
	case u.Scheme == "smtps":
		return "", errors.New("is encrypted from the first byte with smtps: tls is a parameter of smtp")
	case u.Scheme != "smtp":
		return "", errors.New("must begin with smtp:// or smtps://")
	case asked != "" && !slices.Contains([]string{tlsRequired, tlsOpportunistic, tlsNone}, asked):
		return "", errors.New("has a parameter tls that is not required, opportunistic or none")
	}
	s.encryption = asked
	if asked == "" {
		s.encryption = tlsOpportunistic
		if s.user != "" {
			s.encryption = tlsRequired
		}
	}
	return "587", nil
}

// authentication returns the best mechanism that the server offers. A password
// goes over a connection without encryption only as a proof that cannot be read,
// unless the operator asked for tls=none.
func (s *server) authentication(offered string) smtp.Auth {
	mechanisms := strings.Fields(strings.ToUpper(offered))
	readable := s.encryption == tlsNone
	switch {
	case slices.Contains(mechanisms, "SCRAM-SHA-256"):
		return smtp.ScramSHA256Auth(s.user, s.password)
	case slices.Contains(mechanisms, "PLAIN"):
		return smtp.PlainAuth("", s.user, s.password, s.host, readable)
	case slices.Contains(mechanisms, "LOGIN"):
		return smtp.LoginAuth(s.user, s.password, s.host, readable)
	case slices.Contains(mechanisms, "CRAM-MD5"):
		return smtp.CRAMMD5Auth(s.user, s.password)
	}
	return nil
}

// secrets returns the forms in which a server could echo the password.
func (s *server) secrets() []string {
	if s.password == "" {
		return nil
	}
	b64 := base64.StdEncoding.EncodeToString
	return []string{
		b64([]byte("\x00" + s.user + "\x00" + s.password)),
		b64([]byte(s.password)), strconv.Quote(s.password), url.QueryEscape(s.password), url.PathEscape(s.password), s.password,
	}
}
