package tasks

import (
	"flag"
	"os"
	"testing"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// update rewrites the golden files of the version that is written now. A change
// of a file that stood in a release is a new version of the wire format.
var update = flag.Bool("update", false, "rewrite testdata/*-v1*.json")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testenv.Main(m))
}
