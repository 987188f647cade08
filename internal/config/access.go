package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/auth"
)

// What WAYBILL_REGISTRATION may be, besides nothing.
const (
	Open   = "open"
	Closed = "closed"
)

// Networks are address ranges.
type Networks []netip.Prefix

// UnmarshalText reads ranges such as 10.0.0.0/8, and single addresses, separated
// by commas.
func (n *Networks) UnmarshalText(text []byte) error {
	*n = nil
	for one := range strings.SplitSeq(string(text), ",") {
		network, err := parseNetwork(strings.TrimSpace(one))
		if err != nil {
			return err
		}
		*n = append(*n, network)
	}
	return nil
}

// parseNetwork refuses what would never match: addresses are compared without
// zones, and IPv4 as IPv4.
func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if addr, single := netip.ParseAddr(text); single == nil && addr.Zone() == "" {
		network, err = addr.Prefix(addr.BitLen())
	}
	if err != nil || network.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a range of them, such as 10.0.0.0/8; no zones, and IPv4 not as IPv6", text)
	}
	return network, nil
}

// minAudit is the shortest time that keeping an audit makes sense for.
const minAudit = time.Hour

// A repeat under an idempotency key is enqueued again unless its operation is found:
// so operations outlive the keys, which live for 24 hours by Redis's clock.
const (
	minOperations = 25 * time.Hour
	minDeliveries = time.Hour
)

// validateAccess checks the settings of who may do what, and how much of it.
func (c *Config) validateAccess() error {
	var all []error
	if c.AdminKey != "" {
		if err := auth.CheckAdminKey(c.AdminKey); err != nil {
			all = append(all, fmt.Errorf("WAYBILL_ADMIN_KEY %w", err))
		}
	}
	if !slices.Contains([]string{"", Open, Closed}, c.Registration) {
		all = append(all, errors.New("WAYBILL_REGISTRATION must be open or closed"))
	}
	for _, origin := range c.CORSOrigins {
		if !isOrigin(origin) {
			all = append(all, fmt.Errorf("WAYBILL_CORS_ORIGINS: %q must be written as browsers write it: https://host or http://host, in small letters, with a port only if it is not the usual one, and without a path", origin))
		}
	}
	if c.MaxConnections < 0 || c.MaxConnections > 1_000_000 {
		all = append(all, errors.New("WAYBILL_MAX_CONNECTIONS must be from 0 to 1000000"))
	}
	if c.AuditRetention != 0 && c.AuditRetention < minAudit {
		all = append(all, errors.New("WAYBILL_AUDIT_RETENTION must be 0 (for ever) or at least 1h"))
	}
	if c.OperationKeep != 0 && c.OperationKeep < minOperations {
		all = append(all, errors.New("WAYBILL_OPERATION_RETENTION must be 0 (for ever) or at least 25h: longer than idempotency keys live"))
	}
	if c.DeliveryKeep != 0 && c.DeliveryKeep < minDeliveries {
		all = append(all, errors.New("WAYBILL_DELIVERY_RETENTION must be 0 (for ever) or at least 1h"))
	}
	if _, ok := address(c.PrometheusURL); c.PrometheusURL != "" && !ok {
		all = append(all, errors.New("WAYBILL_PROMETHEUS_URL must be http://host:port or https://host:port"))
	}
	return errors.Join(all...)
}

// isOrigin says whether text is an origin as browsers write it, letter by letter:
// they are compared like that.
func isOrigin(text string) bool {
	u, ok := address(text)
	if !ok || u.Scheme+"://"+u.Host != text || text != strings.ToLower(text) || strings.HasSuffix(text, ":") {
		return false
	}
	usual := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	return u.Port() != usual && (hostName.MatchString(u.Hostname()) || net.ParseIP(u.Hostname()) != nil)
}

// hostName is what stands for a host in an origin: names that are not ASCII are
// there in Punycode.
var hostName = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// isListener says whether text is an address to listen at; "" is the default one.
func isListener(text string) bool {
	_, port, err := net.SplitHostPort(text)
	return text == "" || err == nil && port != ""
}
