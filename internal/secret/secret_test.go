package secret_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/secret"
)

func TestBox_OpensForTheSamePurposeAndOwnerAlone(t *testing.T) {
	t.Parallel()
	box, err := secret.NewBox(strings.Repeat("a", secret.MinBytes))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := box.Seal("channel", "default/1", []byte("whsec_x"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("whsec_x")) {
		t.Error("sealed shows the plain text")
	}
	if plain, err := box.Open("channel", "default/1", sealed); err != nil || string(plain) != "whsec_x" {
		t.Errorf("Open = %q, %v", plain, err)
	}
	other, err := secret.NewBox(strings.Repeat("b", secret.MinBytes))
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another owner":   func() ([]byte, error) { return box.Open("channel", "default/2", sealed) },
		"another purpose": func() ([]byte, error) { return box.Open("token", "default/1", sealed) },
		"another secret":  func() ([]byte, error) { return other.Open("channel", "default/1", sealed) },
		"changed":         func() ([]byte, error) { return box.Open("channel", "default/1", changed) },
		"cut":             func() ([]byte, error) { return box.Open("channel", "default/1", sealed[:10]) },
		"empty":           func() ([]byte, error) { return box.Open("channel", "default/1", nil) },
	} {
		if plain, err := open(); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("%s: Open = %q, %v; want ErrSealed", name, plain, err)
		}
	}
}

func TestBox_SignsForOnePurpose(t *testing.T) {
	t.Parallel()
	box, err := secret.NewBox(strings.Repeat("a", secret.MinBytes))
	if err != nil {
		t.Fatal(err)
	}
	mac, err := box.Sign("unsubscribe", "x")
	if err != nil {
		t.Fatal(err)
	}
	if !box.Verify("unsubscribe", "x", mac) {
		t.Error("a signature does not verify")
	}
	if box.Verify("unsubscribe", "y", mac) || box.Verify("other", "x", mac) || box.Verify("unsubscribe", "x", nil) {
		t.Error("a wrong signature verifies")
	}
}

func TestBox_DerivesAKeyForOnePurpose(t *testing.T) {
	t.Parallel()
	box, err := secret.NewBox(strings.Repeat("a", secret.MinBytes))
	if err != nil {
		t.Fatal(err)
	}
	one, err := box.Derive("tokens")
	again, err2 := box.Derive("tokens")
	other, err3 := box.Derive("other")
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	if len(one) != 32 || !bytes.Equal(one, again) || bytes.Equal(one, other) {
		t.Errorf("Derive = %x, %x, for another purpose %x", one, again, other)
	}
	if _, err := (secret.Box{}).Derive("tokens"); err == nil {
		t.Error("Derive works without a secret")
	}
}

func TestBox_WithoutASecretDoesNothing(t *testing.T) {
	t.Parallel()
	if _, err := secret.NewBox("short"); err == nil {
		t.Error("a short secret is taken")
	}
	var none secret.Box
	if _, err := none.Seal("p", "o", nil); err == nil {
		t.Error("Seal works without a secret")
	}
	if none.Verify("p", "m", []byte("x")) {
		t.Error("Verify works without a secret")
	}
}
