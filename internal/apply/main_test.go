package apply_test

import (
	"os"
	"testing"

	"github.com/waybill-dev/waybill/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }
