package httpapi_test

import (
	"flag"
	"os"
	"testing"

	"github.com/waybill-dev/waybill/internal/testenv"
)

var update = flag.Bool("update", false, "rewrite docs/openapi.yaml")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testenv.Main(m))
}
