package webhook

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/waybill-dev/waybill/internal/notify/outbound"
)

// newTransport returns the pool of connections. Without a proxy every connection
// passes the guard. With one the only address that is ever dialed is the proxy's,
// which the operator chose: there hosts are looked up before (see Channel.admit).
func newTransport(o *Options, g outbound.Guard) *http.Transport {
	dialer := outbound.Dialer(o.Timeout)
	t := outbound.NewTransport(dialer.DialContext, o.Timeout)
	if o.Proxy != nil {
		t.Proxy = http.ProxyURL(o.Proxy)
		t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, r *http.Response) error {
			if r.StatusCode != http.StatusOK {
				return outbound.Sentence(fmt.Sprintf("the proxy answered %d", r.StatusCode))
			}
			return nil
		}
		return t
	}
	dialer.Resolver = o.Resolver
	dialer.ControlContext = g.Control
	return t
}

// resolve returns the addresses of a host: a name, or an address itself.
func (c *Channel) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	return c.options.Resolver.LookupNetIP(ctx, "ip", host)
}

// admit says why a host may not be asked of the proxy. The proxy looks the name up
// again and picks any address, so all of them must be allowed.
func (c *Channel) admit(ctx context.Context, host string) error {
	addrs, err := c.resolve(ctx, host)
	if err != nil {
		return err
	}
	return c.guard.Refuse(addrs, true)
}
