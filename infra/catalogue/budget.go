package catalogue

import (
	"slices"
	"strings"
)

// Budget configures what the stack's secrets may cost.
type Budget struct {
	Off        bool     `mapstructure:"off"`
	MonthlyUSD float64  `mapstructure:"monthlyUSD"` // 30 by default, the most that ADR-006 expects
	ByTag      bool     `mapstructure:"byTag"`      // count what has the stack's tag Environment; else Secrets Manager and KMS in the whole account
	Emails     []string `mapstructure:"emails"`     // who is written to beside the topic's subscribers
}

const (
	defaultMonthlyUSD = 30
	maxBudgetEmails   = 10 // of a notification (AWS Budgets API reference, "Subscriber")
)

func (s *Stack) readBudget(mistakes *MistakesError) {
	budget := &s.Budget
	if budget.MonthlyUSD == 0 {
		budget.MonthlyUSD = defaultMonthlyUSD
	}
	if budget.MonthlyUSD < 0 {
		mistakes.add(KeyBudget+".monthlyUSD", "%g: write what a month may cost, or off: true", budget.MonthlyUSD)
	}
	if n := len(budget.Emails); n > maxBudgetEmails {
		mistakes.add(KeyBudget+".emails", "has %d: AWS Budgets takes %d", n, maxBudgetEmails)
	}
	for i, address := range budget.Emails {
		if !strings.Contains(address, "@") {
			mistakes.add(KeyBudget+".emails", "%q is no address", address)
		}
		if slices.Contains(budget.Emails[:i], address) {
			mistakes.add(KeyBudget+".emails", "%q is there twice", address)
		}
	}
}
