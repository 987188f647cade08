package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

const (
	mostURL = 2048 // bytes
	// lookUp bounds the look-up of a name while somebody waits for the answer.
	lookUp = 3 * time.Second
)

// checkURL returns a URL with its host in lower-case ASCII. Messages repeat nothing
// of it but addresses: it may hold a password or a token.
func (c *Channel) checkURL(ctx context.Context, text string, wrong *mistakes) string {
	const here = at + ".url"
	if len(text) > mostURL {
		wrong.add(here, "is longer than %d bytes", mostURL)
		return ""
	}
	u, err := url.Parse(text)
	if err != nil {
		wrong.add(here, "is not a URL: %s", parseError(err))
		return ""
	}
	found := len(*wrong)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		wrong.add(here, "must begin with https:// or http://")
	case c.options.HTTPSOnly && u.Scheme == "http":
		wrong.add(here, "must begin with https://: plain HTTP is not allowed here")
	}
	if u.User != nil {
		wrong.add(here, "must not have a user name or password: use a header")
	}
	if strings.Contains(text, "#") {
		wrong.add(here, "must not have a fragment")
	}
	if strings.HasSuffix(u.Host, ":") || u.Port() != "" && !validPort(u.Port()) {
		wrong.add(here, "has a port that is none")
	}
	host, err := canonicalHost(u.Hostname())
	if err == nil && len(*wrong) == found {
		err = c.checkHost(ctx, host)
	}
	if err != nil {
		wrong.add(here, "%s", err)
	}
	if len(*wrong) > found {
		return ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" {
		host += ":" + port
	}
	u.Host = host
	return u.String()
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

var (
	errNoHost   = errors.New("has no host")
	errHostName = errors.New("has a host that is neither a name nor an address")
	errNumeric  = errors.New("has a host of digits that is not an IP address in its usual form")
	errZone     = errors.New("has an address with a zone")
	errUnknown  = errors.New("has a host that cannot be found: no such host")
	errSlowName = errors.New("has a host whose name could not be looked up; try again")
)

// canonicalHost returns a host as the resolver is to be asked for it: an address
// in its usual form, or a name in lower-case ASCII without a dot at its end, which
// certificates don't have.
func canonicalHost(host string) (string, error) {
	if host == "" {
		return "", errNoHost
	}
	if strings.Contains(host, ":") {
		a, err := netip.ParseAddr(host)
		switch {
		case err != nil:
			return "", errHostName
		case a.Zone() != "":
			return "", errZone
		}
		return a.String(), nil
	}
	// What IDNA maps (full-width digits, other dots) is mapped before it is judged.
	ascii, err := idna.Lookup.ToASCII(strings.ToLower(host))
	if err != nil {
		if ascii, err = underscored(host); err != nil {
			return "", err
		}
	}
	if ascii = strings.TrimSuffix(ascii, "."); ascii == "" {
		return "", errNoHost
	}
	if len(ascii) > 253 || slices.ContainsFunc(strings.Split(ascii, "."), func(l string) bool { return l == "" || len(l) > 63 }) {
		return "", errHostName
	}
	if !numeric(ascii) {
		return ascii, nil
	}
	a, err := netip.ParseAddr(ascii)
	if err != nil {
		return "", errNumeric
	}
	return a.String(), nil
}

// underscored lets names pass that IDNA refuses for an underscore alone: they are
// common inside clusters.
func underscored(host string) (string, error) {
	host = strings.ToLower(host)
	ascii, err := idna.Lookup.ToASCII(strings.ReplaceAll(host, "_", "a"))
	if err != nil || len(ascii) != len(host) {
		return "", errHostName
	}
	return host, nil
}

// numeric says whether a host would be read as an IPv4 address by some resolver
// (inet_aton: 127.1, 0x7f.1, 017700000001, 2130706433): its last label is a number.
func numeric(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if strings.HasPrefix(last, "0x") {
		last = last[2:]
		return strings.Trim(last, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// checkHost says why a host may not be given. What it resolves to is checked again
// at each attempt; here it is for the one who gives it.
func (c *Channel) checkHost(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, lookUp)
	defer cancel()
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		if err := c.guard.Refuse(loopback, false); err != nil {
			return unreachable(err)
		}
	}
	addrs, err := c.resolve(ctx, host)
	if err != nil {
		if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
			return errUnknown
		}
		return errSlowName
	}
	if err := c.guard.Refuse(addrs, c.options.Proxy != nil); err != nil {
		return unreachable(err)
	}
	return nil
}

var loopback = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

func unreachable(err error) error { return fmt.Errorf("has a host that may not be reached: %w", err) }

// parseError returns what url.Parse found, without the URL.
func parseError(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if _, ok := errors.AsType[url.EscapeError](err); ok {
		return "an escape with % is incomplete"
	}
	return "it cannot be parsed"
}
