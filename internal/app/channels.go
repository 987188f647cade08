package app

import (
	"fmt"

	"github.com/waybill-dev/waybill/internal/config"
	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/chat"
	"github.com/waybill-dev/waybill/internal/notify/email"
	"github.com/waybill-dev/waybill/internal/notify/outbound"
	"github.com/waybill-dev/waybill/internal/notify/webhook"
	"github.com/waybill-dev/waybill/internal/secret"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// newChannels makes the ways of notifying. Without WAYBILL_SECRET they refuse
// every subscription, and say why.
func newChannels(c config.Config, version string) (*notify.Channels, error) {
	box, err := newBox(c)
	if err != nil {
		return nil, err
	}
	webhooks := webhook.New(webhook.Options{Allow: c.AllowCIDRs, HTTPSOnly: c.HTTPSOnly, Proxy: c.WebhookProxy(), Version: version})
	mails, err := email.New(email.Options{SMTPURL: c.SMTPURL, From: c.SMTPFrom, PublicURL: c.PublicURL, Box: box})
	if err != nil {
		return nil, err
	}
	chats, err := chat.New(chat.Options{Dial: outbound.DialPublic})
	if err != nil {
		return nil, err
	}
	return notify.NewChannels(box, map[subscription.Channel]notify.Channel{
		subscription.Webhook: webhooks, subscription.Email: mails, subscription.Chat: chats,
	}), nil
}

// newBox makes the box of WAYBILL_SECRET: one without a secret if there is none.
func newBox(c config.Config) (secret.Box, error) {
	if c.Secret == "" {
		return secret.Box{}, nil
	}
	box, err := secret.NewBox(c.Secret)
	if err != nil {
		return box, fmt.Errorf("WAYBILL_SECRET: %w", err)
	}
	return box, nil
}
