package dashboard

// widget is a part of a dashboard.
type widget struct {
	Type       string         `json:"type"`
	X          int            `json:"x"`
	Y          int            `json:"y"`
	Width      int            `json:"width"`
	Height     int            `json:"height"`
	Properties map[string]any `json:"properties"`
}

// row is a concern: a heading, and what tells of it beside one another. A row
// without a heading goes on with the one above.
type row struct {
	heading string
	text    string
	height  int
	widgets []map[string]any
}

// line is a metric as CloudWatch draws it: its namespace, its name, dimensions
// with their values, and how to draw it.
type line []any

// as draws a line in a way of its own.
func (l line) as(options map[string]any) line { return append(l[:len(l):len(l)], options) }

const (
	minute = 60
	day    = 24 * 60 * minute
)

// chart draws lines over time.
func (a Args) chart(title, unit string, period int, statistic string, axis map[string]any, lines ...line) map[string]any {
	left := map[string]any{"min": 0, "label": unit, "showUnits": false}
	for key, value := range axis {
		left[key] = value
	}
	return a.properties(map[string]any{
		"view": "timeSeries", "title": title, "stat": statistic, "period": period, "metrics": lines, "yAxis": map[string]any{"left": left},
	})
}

// number shows the last number of a metric. Of an audit's, that of any day, since
// there is one a day.
func (a Args) number(title string, of line) map[string]any {
	return a.properties(map[string]any{
		"view": "singleValue", "sparkline": true, "title": title, "stat": "Maximum", "period": day, "metrics": []line{of},
	})
}

// properties adds the region, without which CloudWatch takes no widget with
// metrics.
func (a Args) properties(of map[string]any) map[string]any {
	if _, there := of["region"]; !there {
		of["region"] = a.Region
	}
	return of
}

// stacked draws the lines of a chart on top of one another.
func stacked(chart map[string]any) map[string]any {
	chart["stacked"] = true
	return chart
}

// arrange puts rows below one another, and what is in a row beside one another.
func arrange(rows []row) []widget {
	const headingHeight = 2
	var widgets []widget
	y := 0
	for _, row := range rows {
		if row.heading != "" {
			widgets = append(widgets, widget{Type: "text", Y: y, Width: width, Height: headingHeight,
				Properties: map[string]any{"markdown": "## " + row.heading + "\n" + row.text}})
			y += headingHeight
		}
		each := width / len(row.widgets)
		for i, properties := range row.widgets {
			kind := "metric"
			if _, alarms := properties["alarms"]; alarms {
				kind = "alarm"
			}
			widgets = append(widgets, widget{Type: kind, X: i * each, Y: y, Width: each, Height: row.height, Properties: properties})
		}
		y += row.height
	}
	return widgets
}
