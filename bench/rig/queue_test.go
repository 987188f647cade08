package rig

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseCommands(t *testing.T) {
	t.Parallel()
	got, err := parseCommands("# Stats\r\ntotal_connections_received:3\r\ntotal_commands_processed:17\r\n\r\n" +
		"# Commandstats\r\ncmdstat_evalsha:calls=12,usec=9,usec_per_call=0.75,rejected_calls=0,failed_calls=0\r\ncmdstat_config|get:calls=2,usec=1\r\n")
	if err != nil {
		t.Fatal(err)
	}
	want := Commands{Total: 17, ByName: map[string]float64{"evalsha": 12, "config|get": 2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, bad := range []string{"", "total_commands_processed:x\r\n", "total_commands_processed:1\r\ncmdstat_get:calls=\r\n"} {
		if got, err := parseCommands(bad); err == nil {
			t.Errorf("%q: %+v and no error", bad, got)
		}
	}
}
