package httpapi

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// proxies are trusted in these tests.
var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("192.0.2.1/32")}

func request(remote string, forwarded ...string) *http.Request {
	r := &http.Request{RemoteAddr: remote, Header: http.Header{}}
	if forwarded != nil {
		r.Header["X-Forwarded-For"] = forwarded
	}
	return r
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		remote    string
		forwarded []string
		want      string
	}{
		"no proxy":                        {"203.0.113.9:1234", nil, "203.0.113.9"},
		"no proxy, and a lie":             {"203.0.113.9:1234", []string{"198.51.100.1"}, "203.0.113.9"},
		"IPv6":                            {"[2001:db8::1]:1234", nil, "2001:db8::1"},
		"IPv6 with a zone":                {"[fe80::1%eth0]:1234", nil, "fe80::1"},
		"IPv4 in IPv6":                    {"[::ffff:203.0.113.9]:1234", nil, "203.0.113.9"},
		"no address at all":               {"@", []string{"198.51.100.1"}, "invalid IP"},
		"proxy that says nothing":         {"10.1.1.1:1", nil, "10.1.1.1"},
		"proxy":                           {"10.1.1.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		"proxy on IPv6":                   {"[fd00::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		"proxy on IPv6 with a zone":       {"[fd00::1%eth0]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		"proxy as IPv4 in IPv6":           {"[::ffff:10.1.1.1]:1", []string{"198.51.100.1"}, "198.51.100.1"},
		"the client lies before it":       {"10.1.1.1:1", []string{"1.1.1.1, 10.9.9.9,198.51.100.1"}, "198.51.100.1"},
		"a chain of proxies":              {"10.1.1.1:1", []string{"1.1.1.1, 198.51.100.1 , 192.0.2.1,\t10.2.2.2"}, "198.51.100.1"},
		"over several lines":              {"10.1.1.1:1", []string{"1.1.1.1", "198.51.100.1, 192.0.2.1", "10.2.2.2"}, "198.51.100.1"},
		"proxies alone":                   {"10.1.1.1:1", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		"what is no address ends it":      {"10.1.1.1:1", []string{"198.51.100.1, unknown, 10.2.2.2"}, "10.2.2.2"},
		"what is no address, at the end":  {"10.1.1.1:1", []string{"198.51.100.1, _hidden"}, "10.1.1.1"},
		"an empty entry ends it":          {"10.1.1.1:1", []string{"198.51.100.1,, 10.2.2.2"}, "10.2.2.2"},
		"an empty line":                   {"10.1.1.1:1", []string{""}, "10.1.1.1"},
		"with a port":                     {"10.1.1.1:1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		"IPv6 with a port":                {"10.1.1.1:1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		"IPv6 in brackets":                {"10.1.1.1:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		"a client as IPv4 in IPv6":        {"10.1.1.1:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		"a client's zone is dropped":      {"10.1.1.1:1", []string{"fe80::1%a"}, "fe80::1"},
		"brackets around IPv4":            {"10.1.1.1:1", []string{"[198.51.100.1]"}, "10.1.1.1"},
		"half a bracket":                  {"10.1.1.1:1", []string{"2001:db8::1]"}, "10.1.1.1"},
		"the other half":                  {"10.1.1.1:1", []string{"[2001:db8::1"}, "10.1.1.1"},
		"a port without a number":         {"10.1.1.1:1", []string{"198.51.100.1:http"}, "10.1.1.1"},
		"leading zeros":                   {"10.1.1.1:1", []string{"198.051.100.1"}, "10.1.1.1"},
		"a name":                          {"10.1.1.1:1", []string{"localhost"}, "10.1.1.1"},
		"two addresses without a comma":   {"10.1.1.1:1", []string{"198.51.100.1 198.51.100.2"}, "10.1.1.1"},
		"a proxy that is trusted exactly": {"192.0.2.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		"its neighbour":                   {"192.0.2.2:1", []string{"198.51.100.1"}, "192.0.2.2"},
	} {
		if got := clientAddress(request(c.remote, c.forwarded...), proxies).String(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if got := clientAddress(request("10.1.1.1:1", "198.51.100.1"), nil).String(); got != "10.1.1.1" {
		t.Errorf("nobody is trusted, and %s is believed", got)
	}
}

func TestLimitKey(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"203.0.113.9":          "203.0.113.9",
		"::ffff:203.0.113.9":   "203.0.113.9",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:db8:1:2::":       "2001:db8:1:2::/64",
		"fe80::1%eth0":         "fe80::/64",
	} {
		if got := limitKey(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	if a, b := limitKey(netip.Addr{}), limitKey(netip.Addr{}); a == "" || a != b {
		t.Errorf("what has no address has the keys %q and %q", a, b)
	}
}

func TestIsHTTPS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		remote    string
		tls       bool
		proto     []string
		publicURL string
		want      bool
	}{
		"plain":                         {remote: "203.0.113.9:1"},
		"TLS":                           {remote: "203.0.113.9:1", tls: true, want: true},
		"the public URL":                {remote: "203.0.113.9:1", publicURL: "HTTPS://w.example", want: true},
		"a public URL without":          {remote: "203.0.113.9:1", publicURL: "http://https.example"},
		"a proxy's word":                {remote: "10.1.1.1:1", proto: []string{"https"}, want: true},
		"a proxy's word, written big":   {remote: "10.1.1.1:1", proto: []string{" HTTPS"}, want: true},
		"a proxy says plain":            {remote: "10.1.1.1:1", proto: []string{"http"}},
		"anybody's word":                {remote: "203.0.113.9:1", proto: []string{"https"}},
		"the nearest proxy counts":      {remote: "10.1.1.1:1", proto: []string{"https, http"}},
		"the nearest proxy, on a line":  {remote: "10.1.1.1:1", proto: []string{"http", "https"}, want: true},
		"no address to trust":           {remote: "@", proto: []string{"https"}},
		"something that begins with it": {remote: "10.1.1.1:1", proto: []string{"httpsx"}},
	} {
		r := request(c.remote)
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if c.proto != nil {
			r.Header["X-Forwarded-Proto"] = c.proto
		}
		if got := isHTTPS(r, proxies, c.publicURL); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// FuzzClientAddress looks for headers that make a client out of a proxy: what is
// believed must stand in the header, or be who sent it.
func FuzzClientAddress(f *testing.F) {
	for _, line := range []string{"", "1.1.1.1, 10.0.0.1", "[::1]:80,fe80::1%a", ",,", "a]", "[", "::ffff:1.2.3.4:5", "10.0.0.1,\x00"} {
		f.Add(line, "10.2.2.2")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		got := clientAddress(request("10.1.1.1:1", first, second), proxies)
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Fatalf("%v is no address to count by", got)
		}
		entries := strings.Split(first+","+second, ",")
		seen := got == netip.MustParseAddr("10.1.1.1")
		for i := len(entries) - 1; i >= 0 && !seen; i-- {
			hop, ok := parseAddress(strings.Trim(entries[i], " \t\r\n"))
			if !ok || hop != got && !within(hop, proxies) {
				t.Fatalf("%v stands behind %q", got, entries[i])
			}
			seen = hop == got
		}
		if !seen {
			t.Fatalf("%v is nowhere in %q", got, entries)
		}
		if direct := clientAddress(request("203.0.113.9:1", first, second), proxies).String(); direct != "203.0.113.9" {
			t.Fatalf("who is no proxy passes for %s", direct)
		}
	})
}

func TestClientAddress_CostsNoAllocation(t *testing.T) {
	direct, proxied := request("203.0.113.9:1234"), request("10.1.1.1:1", "1.1.1.1, 198.51.100.1, 10.2.2.2")
	if n := testing.AllocsPerRun(100, func() {
		clientAddress(direct, nil)
		clientAddress(proxied, proxies)
		isHTTPS(direct, nil, "")
		isHTTPS(proxied, proxies, "")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkClientAddress(b *testing.B) {
	for name, r := range map[string]*http.Request{
		"direct": request("203.0.113.9:1234"), "proxied": request("10.1.1.1:1", "1.1.1.1, 198.51.100.1, 10.2.2.2"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				clientAddress(r, proxies)
			}
		})
	}
}
