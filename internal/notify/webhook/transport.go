package webhook

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
)

const (
	// idlePerHost keeps the connections of the busiest subscription there may be
	// (subscription.MostInFlight): fewer would be closed and opened all the time.
	idlePerHost = 1024
	// idleInAll bounds the file descriptors that wait for the next event.
	idleInAll   = 2048
	idleTimeout = 30 * time.Second // below the usual keep-alive of servers and NATs
	// mostHeader is how much header an answer may have, in bytes.
	mostHeader = 64 << 10
)

// newTransport returns the pool of connections. Without a proxy every connection
// passes the guard. With one the only address that is ever dialed is the proxy's,
// which the operator chose: there hosts are looked up before (see Channel.admit).
func newTransport(o *Options, g guard) *http.Transport {
	dialer := &net.Dialer{Timeout: o.Timeout, KeepAlive: 15 * time.Second}
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // an answer is kept as it comes, and 4 KiB can't become gigabytes
		MaxIdleConns:           idleInAll,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		TLSHandshakeTimeout:    o.Timeout,
		MaxResponseHeaderBytes: mostHeader,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:           idleTimeout, // notices a connection that died in silence
			PingTimeout:               5 * time.Second,
			MaxReceiveBufferPerStream: 64 << 10, // we read 4 KiB
		},
	}
	if o.Proxy != nil {
		t.Proxy = http.ProxyURL(o.Proxy)
		t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, r *http.Response) error {
			if r.StatusCode != http.StatusOK {
				return proxyError(r.StatusCode)
			}
			return nil
		}
		return t
	}
	dialer.Resolver = o.Resolver
	dialer.ControlContext = g.control
	return t
}

// proxyError is the status with which a proxy refused to connect.
type proxyError int

func (e proxyError) Error() string { return fmt.Sprintf("the proxy answered %d", int(e)) }

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
	return c.guard.refuse(addrs, true)
}

// DialPublic connects to public addresses alone: the guard for other channels.
func DialPublic(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: notify.Timeout, ControlContext: newGuard(nil).control}
	return dialer.DialContext(ctx, network, address)
}
