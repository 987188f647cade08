package httpapi

import (
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
)

// clientAddress returns who sent r: the other end of the connection or, if that is
// a proxy that is trusted, the last address in X-Forwarded-For that is not. What
// stands before that one, anybody may have written. An entry that is no address
// ends the search at the last that is one. Not valid, where r came without an address.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	client, _ := parseAddress(r.RemoteAddr)
	if !within(client, trusted) {
		return client
	}
	for _, line := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for rest, more := line, true; more; {
			var entry string
			rest, entry, more = cutLast(rest)
			hop, ok := parseAddress(textproto.TrimString(entry))
			if !ok {
				return client
			}
			client = hop
			if !within(client, trusted) {
				return client
			}
		}
	}
	return client
}

// cutLast cuts the last entry off a list, and says whether there are more.
func cutLast(list string) (rest, last string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], list[i+1:], true
	}
	return "", list, false
}

// parseAddress reads an address with or without a port. An IPv4 address is one
// also where it is written as IPv6; a zone means something to others only.
func parseAddress(text string) (addr netip.Addr, ok bool) {
	var err error
	switch bare := strings.TrimSuffix(text, "]"); {
	case bare != text: // [::1]
		addr, err = netip.ParseAddr(strings.TrimPrefix(bare, "["))
		if !addr.Is6() || text[0] != '[' {
			return netip.Addr{}, false
		}
	case strings.HasPrefix(text, "[") || strings.Count(text, ":") == 1:
		var with netip.AddrPort
		with, err = netip.ParseAddrPort(text)
		addr = with.Addr()
	default:
		addr, err = netip.ParseAddr(text)
	}
	return addr.Unmap().WithZone(""), err == nil
}

func within(addr netip.Addr, ranges []netip.Prefix) bool {
	for _, one := range ranges {
		if one.Contains(addr) {
			return true
		}
	}
	return false
}

// limitKey is what the limits of an address count by: the address itself, or the
// /64 of an IPv6 address, of which one client has all.
func limitKey(addr netip.Addr) string {
	addr = addr.Unmap()
	if !addr.Is6() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

// isHTTPS says whether the client of r speaks TLS: with us, or with a proxy that
// is trusted and says so, or because the address we are known by has it so.
func isHTTPS(r *http.Request, trusted []netip.Prefix, publicURL string) bool {
	if r.TLS != nil || hasHTTPS(publicURL) {
		return true
	}
	lines := r.Header["X-Forwarded-Proto"]
	if len(trusted) == 0 || len(lines) == 0 {
		return false
	}
	proxy, _ := parseAddress(r.RemoteAddr)
	_, last, _ := cutLast(lines[len(lines)-1]) // the nearest proxy's word
	return within(proxy, trusted) && strings.EqualFold(textproto.TrimString(last), "https")
}

func hasHTTPS(publicURL string) bool {
	const scheme = "https://"
	return len(publicURL) >= len(scheme) && strings.EqualFold(publicURL[:len(scheme)], scheme)
}
