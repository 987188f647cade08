package outbound_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/waybill-dev/waybill/internal/notify/notifytest"
	"github.com/waybill-dev/waybill/internal/notify/outbound"
)

func TestGuard_AllowsPublicAddressesAlone(t *testing.T) {
	t.Parallel()
	g := outbound.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	strict := outbound.Guard{}
	for text, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "93.184.215.14": true, "11.0.0.0": true, "100.63.255.255": true, "100.128.0.0": true,
		"172.15.255.255": true, "172.32.0.0": true, "169.253.255.255": true, "192.167.255.255": true, "198.17.255.255": true,
		"198.20.0.0": true, "223.255.255.255": true, "2606:4700:4700::1111": true, "2a00:1450:4001::1": true, "2001:4860:4860::8888": true,
		"::ffff:8.8.8.8": true, "2001:200::1": true,
		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "10.255.255.255": false, "100.64.0.1": false, "100.100.100.200": false,
		"100.127.255.255": false, "127.0.0.1": false, "127.255.255.254": false, "168.63.129.16": false, "169.254.169.254": false,
		"172.16.0.1": false, "172.31.255.255": false, "192.0.0.192": false, "192.0.2.1": false, "192.88.99.1": false, "192.168.0.1": false,
		"198.18.0.1": false, "198.19.255.255": false, "198.51.100.7": false, "203.0.113.7": false, "224.0.0.1": false, "239.255.255.250": false,
		"240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "::7f00:1": false, "::127.0.0.1": false, "::8.8.8.8": false, "::ffff:127.0.0.1": false,
		"::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:0:127.0.0.1": false, "64:ff9b::127.0.0.1": false,
		"64:ff9b::8.8.8.8": false, "64:ff9b:1::1": false, "100::1": false, "2001::1": false, "2001:0:7f00:1::": false, "2001:2::1": false,
		"2001:10::1": false, "2001:db8::1": false, "2002:7f00:1::": false, "2002:808:808::1": false, "3fff::1": false, "5f00::1": false,
		"fc00::1": false, "fd00::1": false, "fd00:ec2::254": false, "fe80::1": false, "fe80::1%eth0": false, "febf::1": false,
		"fec0::1": false, "ff02::1": false, "ff0e::1": false, "4000::1": false,
	} {
		a := netip.MustParseAddr(text)
		if got := strict.Allows(a); got != want {
			t.Errorf("%s: allowed %v, want %v", text, got, want)
		}
		if got, want := g.Allows(a), want || a.Unmap().IsLoopback(); got != want {
			t.Errorf("%s, loopback being allowed: %v, want %v", text, got, want)
		}
	}
	if strict.Allows(netip.Addr{}) {
		t.Error("no address at all is allowed")
	}
}

func TestGuard_ExceptionsAreByThePrefix(t *testing.T) {
	t.Parallel()
	g := outbound.NewGuard([]netip.Prefix{
		netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fd00:1::/32"), {},
	})
	for text, want := range map[string]bool{
		"10.1.0.1": true, "10.1.255.255": true, "::ffff:10.1.0.1": true, "10.2.0.1": false, "127.0.0.1": false, "::10.1.0.1": false,
		"fe80::1%eth0": true, "fd00:1::5": true, "fd00:2::5": false, "64:ff9b::10.1.0.1": false, "8.8.8.8": true,
	} {
		if got := g.Allows(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: allowed %v, want %v", text, got, want)
		}
	}
}

func TestDialPublic_RefusesOthers(t *testing.T) {
	t.Parallel()
	r := notifytest.Serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the loopback was reached") })
	conn, err := outbound.DialPublic(t.Context(), "tcp", r.Addr)
	if err == nil {
		_ = conn.Close()
		t.Fatal("connected to the loopback")
	}
	if got := outbound.Reason(t.Context(), t.Context(), 0, err); got != "the address 127.0.0.1 is not allowed" {
		t.Errorf("%q", got)
	}
}
