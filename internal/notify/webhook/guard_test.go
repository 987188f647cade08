package webhook_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/notify/notifytest"
	"github.com/waybill-dev/waybill/internal/notify/webhook"
)

// hosts are ways to write what may not be reached, and some that may.
var hosts = []struct {
	host string
	want string // in the message; "": accepted
}{
	{"public.example", ""},
	{"PUBLIC.Example", ""},
	{"public.example.", ""},
	{"both.example", ""}, // one address of two
	{"my_service.example", ""},
	{"bücher.example", ""},
	{"8.8.8.8", ""},
	{"[2606:4700:4700::1111]", ""},
	{"[::ffff:8.8.8.8]", ""},
	{"localhost", "the address 127.0.0.1 is not allowed"},
	{"LOCALHOST", "the address 127.0.0.1 is not allowed"},
	{"localhost.", "the address 127.0.0.1 is not allowed"},
	{"a.localhost", "the address 127.0.0.1 is not allowed"},
	{"ｌocalhost", "the address 127.0.0.1 is not allowed"},
	{"inside.example", "the address 10.0.0.1 is not allowed"},
	{"inside6.example", "the address fd00:ec2::254 is not allowed"},
	{"mapped.example", "the address 127.0.0.1 is not allowed"},
	{"unknown.example", "no such host"},
	{"metadata.google.internal", "no such host"},
	{"127.0.0.1", "the address 127.0.0.1 is not allowed"},
	{"127.0.0.1.", "the address 127.0.0.1 is not allowed"},
	{"127.1", "digits"},
	{"127.0.1", "digits"},
	{"127.000.000.001", "digits"},
	{"0177.0.0.1", "digits"},
	{"0177.1", "digits"},
	{"0x7f.0.0.1", "digits"},
	{"0x7f.1", "digits"},
	{"0X7F000001", "digits"},
	{"0x7f000001", "digits"},
	{"127.0.0.0x1", "digits"},
	{"2130706433", "digits"},
	{"017700000001", "digits"},
	{"3232235521", "digits"},
	{"0", "digits"},
	{"0x", "digits"},
	{"00.0.0.0", "digits"},
	{"256.256.256.256", "digits"},
	{"1.2.3.4.5", "digits"},
	{"example.1", "digits"},
	{"１２７.0.0.1", "the address 127.0.0.1 is not allowed"},
	{"127。0。0。1", "the address 127.0.0.1 is not allowed"},
	{"①②⑦.0.0.1", "the address 127.0.0.1 is not allowed"},
	{"0.0.0.0", "the address 0.0.0.0 is not allowed"},
	{"10.0.0.1", "the address 10.0.0.1 is not allowed"},
	{"100.64.0.1", "the address 100.64.0.1 is not allowed"},
	{"169.254.169.254", "the address 169.254.169.254 is not allowed"},
	{"172.16.0.1", "the address 172.16.0.1 is not allowed"},
	{"192.168.1.1", "the address 192.168.1.1 is not allowed"},
	{"198.18.0.1", "the address 198.18.0.1 is not allowed"},
	{"224.0.0.1", "the address 224.0.0.1 is not allowed"},
	{"255.255.255.255", "the address 255.255.255.255 is not allowed"},
	{"[::1]", "the address ::1 is not allowed"},
	{"[::]", "the address :: is not allowed"},
	{"[0:0:0:0:0:0:0:1]", "the address ::1 is not allowed"},
	{"[::ffff:127.0.0.1]", "the address 127.0.0.1 is not allowed"},
	{"[::ffff:7f00:1]", "the address 127.0.0.1 is not allowed"},
	{"[::127.0.0.1]", "the address ::7f00:1 is not allowed"},
	{"[64:ff9b::7f00:1]", "the address 64:ff9b::7f00:1 is not allowed"},
	{"[2002:7f00:1::]", "the address 2002:7f00:1:: is not allowed"},
	{"[fd00:ec2::254]", "the address fd00:ec2::254 is not allowed"},
	{"[fe80::1]", "the address fe80::1 is not allowed"},
	{"[fe80::1%25lo]", "zone"},
	{"[::1%25lo]", "zone"},
	{"[127.0.0.1]", "not a URL"},
	{"[::1", "not a URL"},
	{"xn--a", "neither a name nor an address"},
	{"a..b", "neither a name nor an address"},
	{".a", "neither a name nor an address"},
	{strings.Repeat("x", 64) + ".example", "neither a name nor an address"},
	{strings.Repeat("x.", 127) + "example", "neither a name nor an address"},
	{"a b", "not a URL"},
	{"%31%32%37.0.0.1", "not a URL"},
	{".", "no host"},
}

func resolver() *names {
	return &names{answers: map[string][][]string{
		"public.example":         {{"93.184.215.14"}},
		"both.example":           {{"10.0.0.1", "93.184.215.14"}},
		"my_service.example":     {{"93.184.215.14"}},
		"xn--bcher-kva.example":  {{"93.184.215.14"}},
		"inside.example":         {{"10.0.0.1", "fd00::1"}},
		"inside6.example":        {{"fd00:ec2::254"}},
		"mapped.example":         {{"127.0.0.1"}},
		"rebound.example":        {{"93.184.215.14"}, {"127.0.0.1"}},
		"second.example":         {{"10.0.0.1", "127.0.0.1"}},
		"a.localhost":            {{"127.0.0.1"}},
		"localhost.evil.example": {{"127.0.0.1"}},
	}}
}

func TestChannel_ChecksHosts(t *testing.T) {
	t.Parallel()
	c := channel(t, webhook.Options{Resolver: resolver().resolver()})
	for _, h := range hosts {
		object, err := json.Marshal(map[string]string{"type": "webhook", "url": "https://" + h.host + "/hook"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Check(t.Context(), object, nil)
		if h.want == "" {
			if err != nil {
				t.Errorf("%s: %v", h.host, err)
			}
		} else if items := itemsOf(t, err); !strings.Contains(items["body.channel.url"], h.want) {
			t.Errorf("%s: %v, want %q", h.host, items, h.want)
		}
	}
}

// TestSender_IsGuarded sends to every host as if Check had let it pass.
func TestSender_IsGuarded(t *testing.T) {
	t.Parallel()
	r := notifytest.Serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the loopback was reached") })
	port := r.Addr[strings.LastIndexByte(r.Addr, ':'):]
	c := channel(t, webhook.Options{Resolver: resolver().resolver()})
	tried := 0
	for _, h := range hosts {
		if h.want == "" || strings.Contains(h.want, "URL") {
			continue
		}
		tried++
		settings, err := json.Marshal(settings{"http://" + h.host + port, nil, []map[string]any{{"secret": whsec}}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Sender(notifytest.Message().Subscription, settings)
		if err != nil {
			continue // not even a Sender
		}
		result := s.Send(t.Context(), notifytest.Message())
		if result.OK || result.Status != 0 {
			t.Errorf("%s: %+v", h.host, result)
		}
		if strings.HasSuffix(h.host, ".") || h.host == "a.localhost" {
			continue // Go's resolver finds no such name, which is as well
		}
		if strings.HasPrefix(h.want, "the address ") && !strings.HasSuffix(result.Error, "is not allowed") {
			t.Errorf("%s: Error %q, want %q", h.host, result.Error, h.want)
		}
	}
	if tried < 50 {
		t.Errorf("%d hosts were tried", tried)
	}
}

func TestSender_IsGuardedAgainstRebinding(t *testing.T) {
	t.Parallel()
	r := notifytest.Serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the loopback was reached") })
	_, port, _ := strings.Cut(r.Addr, ":")
	n := resolver()
	c := channel(t, webhook.Options{Resolver: n.resolver()})
	b, err := c.Check(t.Context(), json.RawMessage(`{"type":"webhook","url":"http://rebound.example:`+port+`/"}`), nil)
	if err != nil {
		t.Fatalf("its first answer is public: %v", err)
	}
	s := senderOf(t, c, b)
	for range 3 {
		if got := s.Send(t.Context(), notifytest.Message()); got.OK || got.Error != "the address 127.0.0.1 is not allowed" || got.Permanent {
			t.Errorf("%+v", got)
		}
	}
	if n.asked < 4 {
		t.Errorf("the name was looked up %d times, want once for each attempt", n.asked)
	}
}

func TestSender_GoesOnToTheAddressThatIsAllowed(t *testing.T) {
	t.Parallel()
	r := notifytest.Serve(t, verified(t, whsec))
	_, port, _ := strings.Cut(r.Addr, ":")
	c := channel(t, webhook.Options{Resolver: resolver().resolver(), Allow: loopback})
	for _, host := range []string{"second.example", "mapped.example", "localhost", "127.0.0.1", "[::ffff:127.0.0.1]"} {
		b, err := c.Check(t.Context(), json.RawMessage(`{"type":"webhook","url":"http://`+host+`:`+port+`/"}`), nil)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		s := strings.Replace(string(b), secretOf(t, c, b), whsec, 1)
		if got := senderOf(t, c, []byte(s)).Send(t.Context(), notifytest.Message()); !got.OK {
			t.Errorf("%s: %+v", host, got)
		}
	}
}
