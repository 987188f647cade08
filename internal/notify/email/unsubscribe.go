package email

import (
	"encoding/base64"
	"net/url"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/secret"
	"github.com/waybill-dev/waybill/internal/subscription"
)

const unsubscribePurpose = "unsubscribe"

// No part of a signed text can hold the line break that parts them: tenants and IDs
// are names, and addresses with control characters are refused.
func unsubscribeText(key subscription.Key, address string) string {
	return key.Tenant + "\n" + key.ID + "\n" + address
}

// UnsubscribeToken returns what allows whoever has it to take the address out of
// the subscription: base64url without padding, 43 characters. It does not run out.
func UnsubscribeToken(box secret.Box, key subscription.Key, address string) (string, error) {
	mac, err := box.Sign(unsubscribePurpose, unsubscribeText(key, address))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(mac), nil
}

// VerifyUnsubscribe says whether token is UnsubscribeToken's, in constant time.
func VerifyUnsubscribe(box secret.Box, key subscription.Key, address, token string) bool {
	mac, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return err == nil && box.Verify(unsubscribePurpose, unsubscribeText(key, address), mac)
}

// unsubscribeLink returns the address's link and the token in it; "" if there can
// be none.
func (c *Channel) unsubscribeLink(key subscription.Key, address string) (link, token string) {
	if c.public == nil {
		return "", ""
	}
	token, err := UnsubscribeToken(c.box, key, address)
	if err != nil { // the box has no secret: New left no public URL then
		return "", ""
	}
	u := c.public.JoinPath("api", "subscriptions", key.ID, "unsubscribe")
	u.RawQuery = url.Values{"to": {address}, "tenant": {key.Tenant}, "token": {token}}.Encode()
	return u.String(), token
}

// Leave implements notify.Leaver.
func (c *Channel) Leave(key subscription.Key, settings []byte, address, token string) (rest []byte, left int, err error) {
	if !VerifyUnsubscribe(c.box, key, address, token) {
		return nil, 0, fault.New(fault.Forbidden, "the link is not valid")
	}
	return c.Without(settings, address)
}
