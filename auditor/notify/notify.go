// Package notify tells people what is new: a message at once for each new
// critical finding, and one message for all that is new, worse or resolved
// since the last run. What they were told they aren't told again.
package notify

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/state"
)

const (
	maxAtOnce  = 10      // messages of their own for critical findings; the rest share one
	maxLines   = 50      // findings in a message
	maxSubject = 99      // characters: SNS takes less than 100 (API reference, Publish)
	maxBody    = 200_000 // bytes; with its attributes a message has 256 KB
)

// Messages returns what is to be told after a run, the critical first. Link is
// the address of the report; "" if there is none.
func Messages(r *audit.Result, link string) ([]state.Message, error) {
	var critical, others []finding.Finding
	titles := map[string]string{}
	counts := map[finding.Severity]int{}
	for _, rule := range r.Rules {
		titles[rule.ID] = rule.Title
		if rule.New == 0 {
			continue
		}
		for f, err := range rule.Findings() {
			if err != nil {
				return nil, err
			}
			switch {
			case !f.New:
			case f.Severity == finding.Critical:
				counts[f.Severity]++
				if len(critical) < maxAtOnce+maxLines {
					critical = append(critical, f)
				}
			default:
				counts[f.Severity]++
				if len(others) < maxLines {
					others = append(others, f)
				}
			}
		}
	}
	b := builder{r: r, link: link, titles: titles}
	messages := b.atOnce(critical, counts[finding.Critical])
	digest, err := b.digest(others, counts)
	if err != nil {
		return nil, err
	}
	return append(messages, digest...), nil
}

type builder struct {
	r      *audit.Result
	link   string
	titles map[string]string
}

func (b builder) atOnce(critical []finding.Finding, count int) []state.Message {
	var messages []state.Message
	for i, f := range critical {
		if i == maxAtOnce {
			var body strings.Builder
			fmt.Fprintf(&body, "%d more critical findings:\n\n", count-maxAtOnce)
			for _, rest := range critical[i:] {
				b.line(&body, rest)
			}
			if hidden := count - len(critical); hidden > 0 {
				fmt.Fprintf(&body, "\nand %d more in the report.\n", hidden)
			}
			return append(messages, b.message("critical-more", fmt.Sprintf("%d more critical findings", count-maxAtOnce), finding.Critical, body.String()))
		}
		var body strings.Builder
		fmt.Fprintf(&body, "%s\n\nwhere   %s\nregion  %s\nowner   %s\n", b.titles[f.Rule], finding.OneLine(f.Resource.Name), orNone(f.Resource.Region), finding.OneLine(orNone(f.Resource.Owner)))
		for _, e := range f.Evidence {
			fmt.Fprintf(&body, "%s: %s\n", finding.OneLine(e.Name), finding.OneLine(e.Value))
		}
		for _, rule := range b.r.Rules {
			if rule.ID == f.Rule {
				fmt.Fprintf(&body, "\nWhy it matters: %s\nHow to fix it: %s\n", rule.Rationale, rule.Remediation)
			}
		}
		messages = append(messages, b.message(f.ID, "CRITICAL: "+b.titles[f.Rule]+": "+f.Resource.Name, finding.Critical, body.String()))
	}
	return messages
}

func (b builder) digest(others []finding.Finding, counts map[finding.Severity]int) ([]state.Message, error) {
	var body strings.Builder
	var parts []string
	worst, fresh := finding.Severity(""), 0
	for _, severity := range finding.Severities() {
		if n := counts[severity]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, severity))
			fresh += n
			if worst == "" {
				worst = severity
			}
		}
	}
	if fresh == 0 && b.r.Resolved == 0 {
		return nil, nil
	}
	if fresh > 0 {
		fmt.Fprintf(&body, "New or worse since the last run: %s.\n\n", strings.Join(parts, ", "))
		for _, f := range others {
			b.line(&body, f)
		}
		if hidden := fresh - counts[finding.Critical] - len(others); hidden > 0 {
			fmt.Fprintf(&body, "and %d more in the report\n", hidden)
		}
		if n := counts[finding.Critical]; n > 0 {
			fmt.Fprintf(&body, "the critical ones have messages of their own\n")
		}
		body.WriteByte('\n')
	}
	if err := b.resolved(&body); err != nil {
		return nil, err
	}
	if unknown := b.r.Count(finding.Unknown); unknown > 0 {
		fmt.Fprintf(&body, "%d checks could not be made; the report says why.\n", unknown)
	}
	subject := fmt.Sprintf("%d new or worse, %d resolved", fresh, b.r.Resolved)
	return []state.Message{b.message("digest", subject, worst, body.String())}, nil
}

func (b builder) resolved(body *strings.Builder) error {
	if b.r.Resolved == 0 {
		return nil
	}
	fmt.Fprintf(body, "Resolved since the last run: %d.\n\n", b.r.Resolved)
	lines := 0
	for e, err := range b.r.ResolvedFindings() {
		if err != nil {
			return err
		}
		if lines == maxLines {
			fmt.Fprintf(body, "and %d more in the report\n", b.r.Resolved-maxLines)
			break
		}
		lines++
		b.line(body, finding.Finding{Rule: e.Rule, Severity: e.Severity, Resource: e.Resource})
	}
	body.WriteByte('\n')
	return nil
}

func (b builder) line(body *strings.Builder, f finding.Finding) {
	title := b.titles[f.Rule]
	if title == "" {
		title = f.Rule
	}
	fmt.Fprintf(body, "  %-8s  %s: %s (%s)\n", f.Severity, title, finding.OneLine(f.Resource.Name), finding.OneLine(orNone(f.Resource.Owner)))
}

func (b builder) message(id, subject string, severity finding.Severity, body string) state.Message {
	if len(body) > maxBody {
		body = strings.ToValidUTF8(body[:maxBody], "") + "…\n\nThe rest is in the report.\n"
	}
	if b.link != "" {
		body += "\nThe report: " + b.link + "\n"
	}
	attributes := map[string]string{"environment": b.r.Environment}
	if severity != "" {
		attributes["severity"] = string(severity)
	}
	return state.Message{
		ID: b.r.Run + "/" + id, Subject: plain("Secrets of " + b.r.Environment + ": " + subject), Body: body, Attributes: attributes,
	}
}

// plain makes a subject that SNS takes: printable ASCII, begun by a letter, of
// less than 100 characters (API reference, Publish, Subject).
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	if len(text) > maxSubject {
		text = text[:maxSubject-3] + "..."
	}
	return text
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

type publisher interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// Send publishes messages in their order and returns how many were.
func Send(ctx context.Context, topic publisher, arn string, messages []state.Message) (int, error) {
	for i, m := range messages {
		in := &sns.PublishInput{TopicArn: &arn, Subject: &m.Subject, Message: &m.Body, MessageAttributes: map[string]types.MessageAttributeValue{}}
		for key, value := range m.Attributes {
			in.MessageAttributes[key] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
		}
		if _, err := topic.Publish(ctx, in); err != nil {
			return i, fmt.Errorf("publish alert %q to %s: %w", m.ID, arn, err)
		}
	}
	return len(messages), nil
}
