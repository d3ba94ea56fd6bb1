package cost

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed prices.json
var pricesJSON []byte

// Prices is the dated table of what AWS charges.
type Prices struct {
	AsOf     string           `json:"asOf"`   // the day, year-month-day
	Region   string           `json:"region"` // whose prices they are
	Currency string           `json:"currency"`
	Note     string           `json:"note"`
	Prices   map[string]Price `json:"prices"`
}

// Price is what one unit costs.
type Price struct {
	USD      float64 `json:"usd"`
	Per      string  `json:"per"`
	Source   string  `json:"source"`         // the page of AWS
	Verified string  `json:"verified"`       // what the amount was compared with, see the table's note
	Free     string  `json:"free,omitempty"` // what AWS doesn't charge an account for in a month; isn't subtracted
}

// LoadPrices returns the table that is built in.
func LoadPrices() (Prices, error) {
	decoder := json.NewDecoder(bytes.NewReader(pricesJSON))
	decoder.DisallowUnknownFields()
	var p Prices
	if err := decoder.Decode(&p); err != nil {
		return Prices{}, fmt.Errorf("read the table of prices: %w", err)
	}
	return p, nil
}
