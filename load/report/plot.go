package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"rollcall/load/measure"
)

// plot is one picture over time.
type plot struct {
	title string
	unit  func(float64) string
	log   bool
	lines []curve
	from  float64 // s
	to    float64
}

// curve is a line of a plot; a NaN is a gap.
type curve struct {
	name   string
	colour string
	values []float64
	at     []float64 // s
}

// Size of a plot in the units of its drawing, and of the margins around it.
const (
	wide, high              = 860.0, 220.0
	left, right, top, below = 70.0, 12.0, 28.0, 26.0
)

func (p *plot) x(t float64) float64 {
	return left + (t-p.from)/max(p.to-p.from, 1e-9)*(wide-left-right)
}

// scale is the range of values, rounded outwards to where the axis has a mark.
func (p *plot) scale() (low, up float64, marks []float64) {
	least, most := math.Inf(1), 0.0
	for _, c := range p.lines {
		for _, v := range c.values {
			if v > 0 {
				least = min(least, v)
			}
			if v > most {
				most = v
			}
		}
	}
	if p.log && most > 0 {
		low, up = math.Pow(10, math.Floor(math.Log10(least))), math.Pow(10, math.Ceil(math.Log10(most*1.0001)))
		for m := low; m <= up*1.01; m *= 10 {
			marks = append(marks, m)
		}
		return low, up, marks
	}
	step := niceStep(max(most, 1e-9) / 4)
	up = math.Ceil(max(most, 1e-9)/step) * step
	for m := 0.0; m <= up*1.001; m += step {
		marks = append(marks, m)
	}
	return 0, up, marks
}

// niceStep is the least of 1, 2, 5 times a power of ten that is not below v.
func niceStep(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5, 10} {
		if f*p >= v*0.999 {
			return f * p
		}
	}
	return 10 * p
}

func (p *plot) y(v, low, up float64) float64 {
	share := (v - low) / max(up-low, 1e-12)
	if p.log {
		share = math.Log10(max(v, low)/low) / max(math.Log10(up/low), 1e-9)
	}
	return high - below - share*(high-top-below)
}

// svg draws the plot.
func (p *plot) svg() template.HTML {
	var b strings.Builder
	low, up, marks := p.scale()
	open(&b, p.title)
	for _, m := range marks {
		y := p.y(m, low, up)
		fmt.Fprintf(&b, `<line class="grid" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/>`, left, wide-right, y, y)
		fmt.Fprintf(&b, `<text class="mark" x="%.0f" y="%.1f" text-anchor="end">%s</text>`, left-6, y+4, escape(p.unit(m)))
	}
	step := niceStep(max(p.to-p.from, 1) / 10)
	for t := math.Ceil(p.from/step) * step; t <= p.to; t += step {
		fmt.Fprintf(&b, `<text class="mark" x="%.1f" y="%.0f" text-anchor="middle">%g s</text>`, p.x(t), high-8, t)
	}
	if p.from < 0 {
		fmt.Fprintf(&b, `<line class="zero" x1="%.1f" x2="%.1f" y1="%.0f" y2="%.0f"/>`, p.x(0), p.x(0), top, high-below)
	}
	at := wide - right
	for i := len(p.lines) - 1; i >= 0; i-- {
		c := p.lines[i]
		at -= float64(len([]rune(c.name)))*6.6 + 14
		fmt.Fprintf(&b, `<text class="key" x="%.0f" y="18" fill="%s">● %s</text>`, at, c.colour, escape(c.name))
	}
	for _, c := range p.lines {
		p.draw(&b, c, low, up)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // numbers, and text that was escaped
}

// draw writes a curve, interrupted where there is no value.
func (p *plot) draw(b *strings.Builder, c curve, low, up float64) {
	pen := false
	var path strings.Builder
	for i, v := range c.values {
		if math.IsNaN(v) {
			pen = false
			continue
		}
		command := "L"
		if !pen {
			command = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", command, p.x(c.at[i]), p.y(v, low, up))
		pen = true
	}
	if path.Len() > 0 {
		fmt.Fprintf(b, `<path d="%s" stroke="%s"/>`, path.String(), c.colour)
	}
}

func open(b *strings.Builder, title string) {
	fmt.Fprintf(b, `<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, wide, high, escape(title))
	fmt.Fprintf(b, `<text class="title" x="%.0f" y="18">%s</text>`, left, escape(title))
}

func escape(s string) string { return template.HTMLEscapeString(s) }

// histogramSVG draws bars over a logarithmic axis of time.
func histogramSVG(title, colour string, bars []measure.Bar) template.HTML {
	if len(bars) == 0 {
		return ""
	}
	var b strings.Builder
	most, first, last := int64(1), bars[0].To, bars[len(bars)-1].To
	for _, x := range bars {
		most = max(most, x.Count)
	}
	low, up := math.Floor(math.Log10(max(first, 1000)))-0.1, math.Ceil(math.Log10(max(last, 10_000)))
	x := func(ns float64) float64 { return left + (math.Log10(ns)-low)/(up-low)*(wide-left-right) }
	open(&b, title)
	for exponent := math.Ceil(low); exponent <= up; exponent++ {
		at, anchor := x(math.Pow(10, exponent)), "middle"
		if exponent == up {
			anchor = "end"
		}
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.0f" y2="%.0f"/>`, at, at, top, high-below)
		fmt.Fprintf(&b, `<text class="mark" x="%.1f" y="%.0f" text-anchor="%s">%s</text>`, at, high-8, anchor, escape(duration(math.Pow(10, exponent))))
	}
	for _, bar := range bars {
		to := max(bar.To, 1000)
		from := max(x(to/1.2589), left)
		tall := float64(bar.Count) / float64(most) * (high - top - below)
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>up to %s: %d</title></rect>`,
			from, high-below-tall, max(x(to)-from-1, 1), tall, colour, escape(duration(bar.To)), bar.Count)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // numbers, and text that was escaped
}

// duration is a time in ns in its largest unit.
func duration(ns float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if ns >= u.of*0.9995 {
			return trim(ns/u.of) + " " + u.name
		}
	}
	return trim(ns) + " ns"
}

func trim(v float64) string {
	switch {
	case v >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func size(b float64) string {
	if b >= 1<<30 {
		return trim(b/(1<<30)) + " GiB"
	}
	return trim(b/(1<<20)) + " MiB"
}

func number(v float64) string {
	switch {
	case v >= 1e6:
		return trim(v/1e6) + " M"
	case v >= 1e4:
		return trim(v/1e3) + " k"
	}
	return trim(v)
}
