// selectors says which series PromQL expressions select, and by which labels they group.
//
//	selectors < expressions.json    for each expression of the list, its selectors with their labels and the labels it groups by
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/prometheus/prometheus/promql/parser"
)

type selector struct {
	Metric string   `json:"metric"`
	Labels []string `json:"labels"`
}

type use struct {
	Selectors []selector `json:"selectors"`
	Grouping  []string   `json:"grouping"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "selectors:", err)
		os.Exit(1)
	}
}

func run() error {
	var expressions []string
	if err := json.NewDecoder(os.Stdin).Decode(&expressions); err != nil {
		return err
	}
	uses := []use{}
	for _, text := range expressions {
		expression, err := parser.NewParser(parser.Options{}).ParseExpr(text)
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		found := use{Selectors: []selector{}, Grouping: []string{}}
		parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
			switch node := node.(type) {
			case *parser.VectorSelector:
				labels := []string{}
				for _, matcher := range node.LabelMatchers {
					if matcher.Name != "__name__" {
						labels = append(labels, matcher.Name)
					}
				}
				found.Selectors = append(found.Selectors, selector{node.Name, labels})
			case *parser.AggregateExpr:
				found.Grouping = append(found.Grouping, node.Grouping...)
			}
			return nil
		})
		uses = append(uses, found)
	}
	return json.NewEncoder(os.Stdout).Encode(uses)
}
