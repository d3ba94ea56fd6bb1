package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/state"
)

// trend is the charts of the last runs: coordinates for SVG, and the figures as
// a table for those who don't see them.
type trend struct {
	Enough                         bool // more than one run
	Width, Height                  int
	FindingsLabel, ComplianceLabel string
	Grid, PercentGrid              []gridLine
	Bars                           []rect
	Line                           string
	Dots                           []dot
	Dates                          []dot
	Rows                           []trendRow
}

type gridLine struct{ Y, TextY, Label string }

type rect struct{ Class, X, Y, Width, Height, Title string }

type dot struct{ X, Y, Anchor, Text string }

type trendRow struct {
	Date       string
	Counts     []int
	Unknown    int
	Compliance string
}

// The drawing's sizes in SVG units.
const (
	chartWidth  = 480
	chartHeight = 190
	chartLeft   = 38
	chartTop    = 12
	chartBottom = 164
	halfDate    = 28 // of a date's width, on a phone
	maxShown    = 30 // runs
)

func newTrend(points []state.Point) trend {
	if len(points) > maxShown {
		points = points[len(points)-maxShown:]
	}
	t := trend{Enough: len(points) > 1, Width: chartWidth, Height: chartHeight}
	most := 1
	for _, p := range points {
		most = max(most, total(p))
		row := trendRow{Date: p.Time.Format("2006-01-02 15:04"), Unknown: p.Unknown, Compliance: perCent(p.RotationCompliance)}
		for _, severity := range finding.Severities() {
			row.Counts = append(row.Counts, p.Findings[severity])
		}
		t.Rows = append(t.Rows, row)
	}
	if !t.Enough {
		return t
	}
	t.draw(points, niceMost(most))
	first, last := points[0], points[len(points)-1]
	t.FindingsLabel = fmt.Sprintf("Findings: %d on %s, %d on %s", total(first), first.Time.Format(time.DateOnly), total(last), last.Time.Format(time.DateOnly))
	t.ComplianceLabel = fmt.Sprintf("Rotated in time: %s on %s, %s on %s",
		perCent(first.RotationCompliance), first.Time.Format(time.DateOnly), perCent(last.RotationCompliance), last.Time.Format(time.DateOnly))
	return t
}

func total(p state.Point) int {
	n := 0
	for _, count := range p.Findings {
		n += count
	}
	return n
}

// niceMost rounds up to 1, 2 or 5 times a power of ten, but to no less than 4,
// so that the lines stand at whole numbers.
func niceMost(n int) int {
	for power := 1; ; power *= 10 {
		for _, factor := range []int{1, 2, 4, 6, 8} {
			if most := factor * power; most >= n && most >= 4 && most%2 == 0 {
				return most
			}
		}
	}
}

func (t *trend) draw(points []state.Point, most int) {
	height := float64(chartBottom - chartTop)
	for _, share := range []float64{0, .5, 1} {
		y := chartBottom - share*height
		t.Grid = append(t.Grid, gridLine{number(y), number(y + 4), strconv.Itoa(int(share * float64(most)))})
		t.PercentGrid = append(t.PercentGrid, gridLine{number(y), number(y + 4), strconv.Itoa(int(share * 100))})
	}
	step := float64(chartWidth-chartLeft) / float64(len(points))
	width := min(step*.7, 48)
	var line []string
	for i, p := range points {
		center := chartLeft + step*(float64(i)+.5)
		y := float64(chartBottom)
		for _, severity := range []finding.Severity{finding.Low, finding.Medium, finding.High, finding.Critical} {
			n := p.Findings[severity]
			if n == 0 {
				continue
			}
			h := height * float64(n) / float64(most)
			y -= h
			t.Bars = append(t.Bars, rect{
				string(severity), number(center - width/2), number(y), number(width), number(h),
				fmt.Sprintf("%s: %d %s", p.Time.Format(time.DateOnly), n, severity),
			})
		}
		at := dot{X: number(center), Y: number(chartBottom - height*p.RotationCompliance/100), Text: p.Time.Format(time.DateOnly) + ": " + perCent(p.RotationCompliance)}
		t.Dots = append(t.Dots, at)
		line = append(line, at.X+","+at.Y)
	}
	t.Line = strings.Join(line, " ")
	for _, i := range []int{0, len(points) - 1} {
		center := chartLeft + step*(float64(i)+.5)
		center = min(max(center, chartLeft), chartWidth-halfDate)
		t.Dates = append(t.Dates, dot{number(center), number(chartBottom + 20), "middle", points[i].Time.Format("2 Jan")})
	}
}

// number writes a coordinate shortly.
func number(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(x, 'f', 2, 64), "0"), ".")
}
