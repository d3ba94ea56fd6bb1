package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/operations/cost"
)

func newRoot() *cobra.Command {
	var file string
	var asJSON, markdown, forADR bool
	var limit float64
	given := cost.Values{}
	c := &cobra.Command{
		Use:   "cost",
		Short: "Estimate what a stack costs in a month, and what its cache saves",
		Long: `Estimate what a stack costs in a month, and what its cache saves.

The stack is that of a Pulumi.<stack>.yaml. What it doesn't say is assumed: by the
flags, else by its key ` + cost.Key + `, else by the flags' defaults. Prices
are in a dated table, operations/cost/prices.json. No AWS account is needed.

Exit status: 0 done; 1 the estimate is over --limit; 2 wrong usage.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON && markdown {
				return errors.New("--json and --markdown: choose one")
			}
			estimate, err := read(file, given, forADR)
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				err = estimate.WriteJSON(c.OutOrStdout())
			case markdown:
				err = estimate.WriteMarkdown(c.OutOrStdout())
			default:
				err = estimate.WriteText(c.OutOrStdout())
			}
			if err == nil && limit > 0 && estimate.USD > limit {
				return fmt.Errorf("%w: $%.2f a month, limit $%.2f", errOver, estimate.USD, limit)
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&file, "stack", "", "the stack's file, such as Pulumi.prod.yaml (required)")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	f.BoolVar(&markdown, "markdown", false, "as a page")
	f.BoolVar(&forADR, "fifty", false, "with 50 secrets, as ADR-006 counts: the stack's own, over and over")
	f.Float64Var(&limit, "limit", 0, "dollars a month over which the exit status is 1; 0: none")
	for _, a := range cost.Assumptions() {
		f.Func(a.Flag(), fmt.Sprintf("%s (default %g)", a.Meaning, a.Default), func(text string) error {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return errors.New("write a number")
			}
			given[a.Name] = n
			return nil
		})
	}
	return c
}

func read(file string, given cost.Values, forADR bool) (*cost.Estimate, error) {
	if file == "" {
		return nil, errors.New("no stack: name its file with --stack, such as Pulumi.prod.yaml")
	}
	stack, err := catalogue.ReadFile(file)
	if err != nil {
		return nil, err
	}
	written, err := catalogue.ReadValues(file)
	if err != nil {
		return nil, err
	}
	values, err := cost.Read(written[cost.Key])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for name, n := range given {
		values[name] = n
	}
	if err := values.Validate(); err != nil {
		return nil, err
	}
	prices, err := cost.LoadPrices()
	if err != nil {
		return nil, err
	}
	if forADR {
		stack = cost.ForADR(stack)
	}
	return cost.New(stack, values, prices), nil
}
