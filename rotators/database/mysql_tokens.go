package database

import "strings"

// token is a word, a quoted name or text, or a sign of a statement that a
// server has printed.
type token struct {
	text       string // without quotes
	quoted     bool
	start, end int // where it is in the statement, quotes included
}

// is tells whether a token is a word of the language.
func (t token) is(word string) bool { return !t.quoted && strings.EqualFold(t.text, word) }

// tokens reads what SHOW GRANTS and SHOW CREATE USER print in sessions with
// sessionSettings: a quote within quotes is doubled, nothing else is escaped.
func tokens(statement string) []token {
	var found []token
	for i := 0; i < len(statement); {
		switch c := statement[i]; {
		case c == ' ' || c == '\n' || c == '\t':
			i++
		case c == '`' || c == '\'' || c == '"':
			text, end := quotedText(statement, i)
			found = append(found, token{text: text, quoted: true, start: i, end: end})
			i = end
		case strings.IndexByte("@,().", c) >= 0:
			found = append(found, token{text: string(c), start: i, end: i + 1})
			i++
		default:
			end := i
			for end < len(statement) && strings.IndexByte(" \n\t`'\"@,().", statement[end]) < 0 {
				end++
			}
			found = append(found, token{text: statement[i:end], start: i, end: end})
			i = end
		}
	}
	return found
}

// quotedText reads from an opening quote to behind the closing one.
func quotedText(statement string, start int) (text string, end int) {
	quote := statement[start]
	var b strings.Builder
	for i := start + 1; i < len(statement); i++ {
		if statement[i] != quote {
			b.WriteByte(statement[i])
			continue
		}
		if i+1 < len(statement) && statement[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		return b.String(), i + 1
	}
	return b.String(), len(statement)
}

// quoteText is a string literal in a session with sessionSettings.
func quoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// account is a user with a host part.
type account struct{ user, host string }

// String is the account in a statement.
func (a account) String() string { return quoteText(a.user) + "@" + quoteText(a.host) }
