package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/waybill-dev/waybill/internal/config"
)

// HealthURL is where a process with the settings c, beside us, says how it is:
// at /livez or /readyz. An address that stands for all is asked on the loopback.
func HealthURL(c config.Config, live bool) string {
	address := c.OpsListen
	if address == "" {
		address = apiOps
	}
	host, port, _ := net.SplitHostPort(address) // config has judged it
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	path := "/readyz"
	if live {
		path = "/livez"
	}
	return "http://" + net.JoinHostPort(host, port) + path
}

// CheckHealth asks url within ctx; it returns nil for 200, else an error with
// the answer, of which it reads little.
func CheckHealth(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// The environment's proxy is for the world outside.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, response.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
