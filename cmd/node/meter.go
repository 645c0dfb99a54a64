package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// meter says how far long work is: in a terminal on one line that changes,
// elsewhere a line every now and then.
type meter struct {
	out    io.Writer
	screen bool
	began  time.Time
	told   time.Time
}

const (
	meterScreen = 200 * time.Millisecond
	meterLines  = 5 * time.Second
)

func newMeter(out io.Writer) *meter {
	f, ok := out.(*os.File)
	now := time.Now()
	return &meter{out: out, screen: ok && terminal(f), began: now, told: now}
}

// show is cheap while it is not time to say something.
func (m *meter) show(format string, args ...any) {
	every := meterLines
	if m.screen {
		every = meterScreen
	}
	if now := time.Now(); now.Sub(m.told) >= every {
		m.told = now
		m.write(fmt.Sprintf(format, args...), m.screen)
	}
}

// say writes a line that stays.
func (m *meter) say(format string, args ...any) { m.write(fmt.Sprintf(format, args...), false) }

func (m *meter) write(text string, passing bool) {
	const again, toEndOfLine = "\r", "\x1b[K"
	if m.screen {
		text = again + text + toEndOfLine
	}
	if !passing {
		text += "\n"
	}
	_, _ = io.WriteString(m.out, text) // remarks; the work is what counts
}

// since is the time that the work has taken.
func (m *meter) since() string { return fmt.Sprintf("%.1f s", time.Since(m.began).Seconds()) }

// size is a number of bytes in its largest unit.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for ; v >= 1024 && i < len(units)-1; i++ {
		v /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
