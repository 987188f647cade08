package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/config"
)

func TestDescribe_ShowsEverySettingAndNoSecret(t *testing.T) {
	t.Parallel()
	var environment []string
	for f := range reflect.TypeFor[config.Config]().Fields() {
		environment = append(environment, f.Tag.Get("env")+"=hidden")
	}
	described := config.Describe(environment)
	if len(described) != len(environment) {
		t.Errorf("%d settings described, want %d", len(described), len(environment))
	}
	for i, f := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		want := config.Setting{Name: f.Tag.Get("env"), Value: "hidden", Given: true}
		if f.Tag.Get("secret") != "" {
			want.Value = "set"
		}
		if described[i] != want {
			t.Errorf("%+v, want %+v", described[i], want)
		}
	}
}

func TestDescribe_SaysWhereAValueIsFrom(t *testing.T) {
	t.Parallel()
	got := map[string]config.Setting{}
	for _, s := range config.Describe([]string{"WAYBILL_MAX_BODY=2048", "REDIS_URL_FILE=/run/secrets/r", "WAYBILL_LISTEN_FILE=x", "WAYBILL_PROMETHEUS_URL=http://u:hidden@p:9090", "WAYBILL_CONCURRENCY="}) {
		got[s.Name] = s
	}
	for name, want := range map[string]string{
		"WAYBILL_MAX_BODY": "2048 true", "REDIS_URL": "set by REDIS_URL_FILE true", "WAYBILL_LISTEN": "127.0.0.1:8080 false",
		"WAYBILL_PROMETHEUS_URL": "http://u:xxxxx@p:9090 true", "WAYBILL_CONCURRENCY": "4 false", "DATABASE_URL": " false",
	} {
		if s := fmt.Sprint(got[name].Value, " ", got[name].Given); s != want {
			t.Errorf("%s: %q, want %q", name, s, want)
		}
	}
}

func TestUnknown_NamesThatNobodyReads(t *testing.T) {
	t.Parallel()
	got := config.Unknown([]string{"WAYBILL_CONCURENCY=8", "WAYBILL_LISTEN_FILE=x", "WAYBILL_SECRET_FILE=x", "WAYBILL_LISTEN=:1", "PATH=x", "WAYBILL_TEST_REDIS_URL=x", "SMTP_FORM=x"})
	if d := cmp.Diff([]string{"WAYBILL_CONCURENCY", "WAYBILL_LISTEN_FILE"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Whoever mends one mistake should not then be told of the next.
func TestFromEnv_TellsOfAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	for _, bad := range [][]string{
		{"REDIS_URL_FILE=/none", "WAYBILL_SECRET_FILE=/none", "WAYBILL_MAX_BODY=many", "WAYBILL_CONCURRENCY=many"},
		{"REDIS_URL_FILE=/none", "WAYBILL_LISTEN=8080", "WAYBILL_OPS_LISTEN=localhost:", "WAYBILL_MAX_BODY=1"},
	} {
		_, err := config.FromEnv(bad)
		for _, entry := range bad {
			if name, _, _ := strings.Cut(entry, "="); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v: error %v, want %s in it", bad, err, name)
			}
		}
	}
}
