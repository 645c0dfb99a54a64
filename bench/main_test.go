package bench

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(floorVariable); address != "" {
		os.Exit(serveFloor(address))
	}
	code := m.Run()
	close(launched)
	if path, err := program(); err == nil && code == 0 {
		_ = os.Remove(path) // in the temporary directory
	}
	os.Exit(code)
}
