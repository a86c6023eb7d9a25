package bench

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"os"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// The plot: for each measurement a bar for each row, as long as its median, and
// a thin line to its 95th percentile. Bars of one question share a scale.
const (
	plotWidth  = 1100
	labelWidth = 420 // pixels for the rows' names, seven for a character
	valueWidth = 130
	lineHeight = 18
	plotMargin = 16
)

func writePlot(path string, rows []row) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := png.Encode(f, plot(rows)); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// canvas is an image with a pen.
type canvas struct{ *image.RGBA }

func (c canvas) text(x, y int, s string, ink color.Color) {
	d := font.Drawer{Dst: c, Src: image.NewUniform(ink), Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
	d.DrawString(s)
}

func (c canvas) box(x0, y0, x1, y1 int, ink color.Color) {
	draw.Draw(c, image.Rect(x0, y0, x1, y1), image.NewUniform(ink), image.Point{}, draw.Src)
}

func plot(rows []row) image.Image {
	black, grey := color.Gray{0x20}, color.Gray{0x90}
	ours, others := color.RGBA{0x1f, 0x77, 0xb4, 0xff}, color.RGBA{0xc8, 0xc8, 0xc8, 0xff}
	height := 2 * plotMargin
	for _, g := range panels(rows) {
		height += (len(g) + 3) * lineHeight
	}
	c := canvas{image.NewRGBA(image.Rect(0, 0, plotWidth, height))}
	c.box(0, 0, plotWidth, height, color.White)
	y := plotMargin
	for _, g := range panels(rows) {
		y += lineHeight
		scale := "linear"
		if g[0].log {
			scale = "logarithmic"
		}
		c.text(plotMargin, y, latin(fmt.Sprintf("%s  %s (%s, %s)", g[0].group, g[0].what, g[0].unit, scale)), black)
		low, high := span(g)
		at := func(v float64) int {
			room := float64(plotWidth - labelWidth - valueWidth - plotMargin)
			return labelWidth + int(math.Round(room*position(v, low, high, g[0].log)))
		}
		for _, r := range g {
			y += lineHeight
			ink := others
			if isOurs(r) {
				ink = ours
			}
			c.text(plotMargin, y, latin(clip(r.name, (labelWidth-2*plotMargin)/7)), black)
			c.box(labelWidth, y-11, max(at(r.median()), labelWidth+1), y+1, ink)
			c.box(at(r.median()), y-5, at(r.p95()), y-4, grey)
			c.box(at(r.p95()), y-8, at(r.p95())+1, y-1, grey)
			c.text(at(r.p95())+6, y, figure(r.median()), black)
		}
		y += 2 * lineHeight
	}
	return c
}

// panels are the rows that share a scale: of one question, in one unit.
func panels(rows []row) (all [][]row) {
	for i, r := range rows {
		if i > 0 && rows[i-1].group == r.group && rows[i-1].what == r.what && rows[i-1].unit == r.unit {
			all[len(all)-1] = append(all[len(all)-1], r)
		} else {
			all = append(all, []row{r})
		}
	}
	return all
}

// span is the range of a panel's scale.
func span(g []row) (low, high float64) {
	low, high = math.Inf(1), 0
	for _, r := range g {
		high = max(high, r.p95())
		if m := r.median(); m > 0 {
			low = min(low, m)
		}
	}
	if math.IsInf(low, 1) {
		low = 1
	}
	// A bar of the shortest is to be seen, so a logarithmic scale begins below it.
	return math.Pow(10, math.Floor(math.Log10(low))-0.3), max(high, low)
}

// position is between 0 and 1.
func position(v, low, high float64, log bool) float64 {
	p := v / high
	if log {
		p = math.Log(max(v, low)/low) / math.Log(high/low)
	}
	return min(max(p, 0), 1)
}

// isOurs says whether a bar is drawn in the product's colour.
func isOurs(r row) bool {
	return len(r.name) >= 7 && r.name[:7] == "lanseal" || r.group == "h"
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// latin writes what the font has.
func latin(s string) string {
	out := []rune(s)
	for i, r := range out {
		switch {
		case r == 'µ':
			out[i] = 'u'
		case r > '~':
			out[i] = '-'
		}
	}
	return string(out)
}
