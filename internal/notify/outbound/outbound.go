// Package outbound is HTTP to hosts that strangers name, as every channel needs it:
// which addresses may be reached, why no answer came, what an answer asks for, and
// what of it may be shown. Mails take from it why a connection failed. What is sent,
// and where to, is each channel's own; so is what there is to keep secret.
package outbound

import (
	"context"
	"net"
	"net/http"
	"time"
)

const (
	// idlePerHost keeps the connections of the busiest subscription there may be
	// (subscription.MostInFlight): fewer would be closed and opened all the time.
	idlePerHost = 1024
	// idleInAll bounds the file descriptors that wait for the next event.
	idleInAll   = 2048
	idleTimeout = 30 * time.Second // below the usual keep-alive of servers and NATs
	keepAlive   = 15 * time.Second
	// mostHeader is how much header an answer may have, in bytes.
	mostHeader = 64 << 10
)

// Dialer returns a net.Dialer that knows of no guard yet.
func Dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: timeout, KeepAlive: keepAlive}
}

// NewTransport returns a pool of connections that dial makes. It asks no proxy,
// whatever the environment says: a proxy would look names up by itself, past any
// guard of dial's.
func NewTransport(dial func(ctx context.Context, network, address string) (net.Conn, error), timeout time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // an answer is kept as it comes, and 4 KiB can't become gigabytes
		MaxIdleConns:           idleInAll,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		TLSHandshakeTimeout:    timeout,
		MaxResponseHeaderBytes: mostHeader,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:           idleTimeout, // notices a connection that died in silence
			PingTimeout:               5 * time.Second,
			MaxReceiveBufferPerStream: 64 << 10, // we read 4 KiB
		},
	}
}
