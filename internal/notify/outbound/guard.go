package outbound

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/waybill-dev/waybill/internal/notify"
)

// Guard says which addresses may be reached: public ones, and those that the
// operator allows. The zero Guard allows public ones alone.
type Guard struct{ allow []netip.Prefix }

// NewGuard returns a Guard that also allows addresses within allow.
func NewGuard(allow []netip.Prefix) Guard {
	g := Guard{}
	for _, p := range allow {
		if p.IsValid() {
			g.allow = append(g.allow, p.Masked())
		}
	}
	return g
}

// global is what IANA has given out of IPv6 for public addresses. Everything else
// is refused as a whole: unspecified, loopback, IPv4-compatible, NAT64
// (64:ff9b::/96 and 64:ff9b:1::/48, which would reach any IPv4 address), discard
// (100::/64), SRv6 (5f00::/16), unique local (fc00::/7, with fd00::/8 and AWS's
// metadata in it), link-local, site-local and multicast.
var global = netip.MustParsePrefix("2000::/3")

// special are the blocks that are not public (IANA's special-purpose registries,
// RFC 6890), and one address that is.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // "this" network; Linux takes 0.0.0.0 for the loopback
	netip.MustParsePrefix("10.0.0.0/8"),       // private
	netip.MustParsePrefix("100.64.0.0/10"),    // carriers' NAT; Alibaba's metadata
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback
	netip.MustParsePrefix("168.63.129.16/32"), // Azure's host, public only by its number
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local; the clouds' metadata
	netip.MustParsePrefix("172.16.0.0/12"),    // private
	netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments; Oracle's metadata
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation
	netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),   // private
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation
	netip.MustParsePrefix("224.0.0.0/4"),      // multicast
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, and broadcast
	netip.MustParsePrefix("2001::/23"),        // protocol assignments: Teredo (2001::/32), ORCHID, benchmarks
	netip.MustParsePrefix("2001:db8::/32"),    // documentation
	netip.MustParsePrefix("2002::/16"),        // 6to4, which carries any IPv4 address
	netip.MustParsePrefix("3fff::/20"),        // documentation
}

// Allows says whether an address may be reached. An IPv4 address in IPv6's
// clothes (::ffff:127.0.0.1) is taken for what it is; zones don't count.
func (g Guard) Allows(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	contains := func(p netip.Prefix) bool { return p.Contains(a) }
	if slices.ContainsFunc(g.allow, contains) {
		return true
	}
	return a.IsValid() && (a.Is4() || global.Contains(a)) && !slices.ContainsFunc(special, contains)
}

func refused(a netip.Addr) error {
	return Sentence("the address " + a.WithZone("").Unmap().String() + " is not allowed")
}

// Control is a net.Dialer's ControlContext. It runs once the name is resolved, for
// the very address that the socket is about to connect to, so there is no second
// look-up that could answer otherwise. After a refusal the dialer goes on to the
// name's next address.
func (g Guard) Control(_ context.Context, _, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return refused(netip.Addr{}) // not an IP address: nothing that we want to reach
	}
	if !g.Allows(a.Addr()) {
		return refused(a.Addr())
	}
	return nil
}

// Refuse returns an error that names an address, a Sentence, unless one of addrs,
// or with all set every one of them, is allowed.
func (g Guard) Refuse(addrs []netip.Addr, all bool) error {
	first := slices.IndexFunc(addrs, func(a netip.Addr) bool { return !g.Allows(a) })
	if first < 0 || !all && slices.ContainsFunc(addrs, g.Allows) {
		return nil
	}
	return refused(addrs[first])
}

// DialPublic connects to public addresses alone.
func DialPublic(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := Dialer(notify.Timeout)
	dialer.ControlContext = Guard{}.Control
	return dialer.DialContext(ctx, network, address)
}
