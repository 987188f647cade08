package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// fakeChannels stands in for the channels: settings are kept open, secrets are
// random, and a token names its address.
type fakeChannels struct{}

type fakeSettings struct {
	Type    subscription.Channel `json:"type"`
	URL     string               `json:"url,omitempty"`
	Headers map[string]string    `json:"headers,omitempty"`
	To      []string             `json:"to,omitempty"`
	Secret  string               `json:"secret,omitempty"`
}

func token(id, address string) string { return "token.of." + id[30:] + "." + address }

func (fakeChannels) Check(_ context.Context, _ subscription.Key, object json.RawMessage, standing *subscription.Subscription) (subscription.Channel, []byte, error) {
	var s fakeSettings
	if err := json.Unmarshal(object, &s); err != nil {
		return "", nil, fault.At(fault.InvalidRecord, "body.channel", "has a member of the wrong type")
	}
	f := &fault.Error{Kind: fault.InvalidRecord, Detail: "the channel is not valid"}
	if u, err := url.Parse(s.URL); s.Type != subscription.Email && (err != nil || u.Host == "") {
		f.Items = append(f.Items, fault.Item{Location: "body.channel.url", Message: "must be a URL with a host"})
	}
	for i, address := range s.To {
		if !strings.Contains(address, "@") {
			f.Items = append(f.Items, fault.Item{Location: fmt.Sprintf("body.channel.to[%d]", i), Message: "is not an address"})
		}
	}
	if len(f.Items) > 0 {
		return "", nil, f
	}
	if s.Secret = ""; s.Type == subscription.Webhook {
		s.Secret = newSecret()
		if standing != nil {
			s.Secret = opened(standing).Secret
		}
	}
	return s.Type, s.sealed(), nil
}

func newSecret() string { return "whsec_" + strings.ReplaceAll(uuid.NewString(), "-", "") }

func opened(s *subscription.Subscription) (found fakeSettings) {
	if err := json.Unmarshal(s.Target, &found); err != nil {
		panic(err)
	}
	return found
}

func (s fakeSettings) sealed() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b
}

func (fakeChannels) Show(s *subscription.Subscription) (json.RawMessage, error) {
	shown := opened(s)
	shown.Secret = ""
	return shown.sealed(), nil
}

func (fakeChannels) Secret(s *subscription.Subscription) (string, error) {
	return opened(s).Secret, nil
}

func (fakeChannels) Rotate(s *subscription.Subscription, _ time.Time) ([]byte, error) {
	rotated := opened(s)
	if rotated.Secret == "" {
		return nil, fault.New(fault.Conflict, "the channel has no secret")
	}
	rotated.Secret = newSecret()
	return rotated.sealed(), nil
}

func (fakeChannels) Unsubscribe(s *subscription.Subscription, address, given string) ([]byte, int, error) {
	left := opened(s)
	if left.Type != subscription.Email || given != token(s.ID, address) {
		return nil, 0, fault.New(fault.Forbidden, "the token is not for this address")
	}
	left.To = slices.DeleteFunc(left.To, func(to string) bool { return to == address })
	return left.sealed(), len(left.To), nil
}
