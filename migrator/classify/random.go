package classify

import (
	"math"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Degrees of randomness.
const (
	somewhatRandom = 0.5
	veryRandom     = 0.8
)

// randomness returns from 0 to 1 how much the value looks like random
// characters: the entropy of its characters against what random ones of its
// length and alphabet have, less for what reads as words, less for what is too
// short to tell.
func randomness(value string) float64 {
	value = strings.TrimSpace(value)
	length := utf8.RuneCountInString(value)
	// A text has a space every six characters or so, a random value few or none; and
	// what is a third of separators is a list or a pattern.
	if length < 8 || strings.Count(value, " ")*16 > length || strings.ContainsAny(value, "\t\n") || len(punctuation.FindAllString(value, -1))*3 > length {
		return 0
	}
	score := math.Min(1, entropy(value)/expected(length, alphabet(value)))
	score *= 1 - wordiness(value)
	if length < 20 {
		score *= 0.5 + 0.5*float64(length-8)/12
	}
	return score
}

// entropy is Shannon's, in bits a character.
func entropy(value string) float64 {
	counts := map[rune]int{}
	total := 0
	for _, r := range value {
		counts[r]++
		total++
	}
	var bits float64
	for _, n := range counts {
		p := float64(n) / float64(total)
		bits -= p * math.Log2(p)
	}
	return bits
}

// expected is the mean entropy of so many random characters of an alphabet: each
// character's share is binomial.
func expected(length, alphabet int) float64 {
	n, p := float64(length), 1/float64(alphabet)
	chance := math.Pow(1-p, n) // that a character is there k times, from k = 0
	var bits float64
	for k := 1.0; k <= n && k <= 64; k++ {
		chance *= (n - k + 1) / k * p / (1 - p)
		bits -= chance * k / n * math.Log2(k/n)
	}
	return bits * float64(alphabet)
}

// calm is 1 where letters of a case and digits change as seldom as in words, and 0
// where they do as often as in random characters, in which words come about by
// chance.
func calm(part string) float64 {
	changes, before := 0, 0
	for i, r := range part {
		class := 0
		switch {
		case unicode.IsUpper(r):
			class = 1
		case unicode.IsDigit(r):
			class = 2
		}
		if i > 0 && class != before {
			changes++
		}
		before = class
	}
	share := float64(changes) / float64(max(1, utf8.RuneCountInString(part)-1))
	return min(1, max(0, (restless-share)/(restless-inWords)))
}

// Shares of the characters at which letters and digits change.
const (
	inWords  = 0.30
	restless = 0.42
)

var hexadecimal = regexp.MustCompile(`^(?:[0-9a-f]+|[0-9A-F]+)$`)

// alphabet is the number of characters that a value of these classes draws from.
func alphabet(value string) int {
	if hexadecimal.MatchString(value) {
		return 16
	}
	size := 0
	for _, class := range []struct {
		in   func(rune) bool
		size int
	}{{unicode.IsLower, 26}, {unicode.IsUpper, 26}, {unicode.IsDigit, 10}} {
		if strings.ContainsFunc(value, class.in) {
			size += class.size
		}
	}
	if strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		size += 8
	}
	return max(size, 2)
}

// wordiness is the share of the value's characters that stand in something
// that can be read: five or so letters of one case with vowels as often as
// words have them. Fewer come about by chance, and more do between digits and
// letters of the other case.
func wordiness(value string) float64 {
	readable := 0.0
	for _, part := range strings.FieldsFunc(value, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		in := 0
		for _, word := range words.FindAllString(part, -1) {
			vowels := strings.Count(strings.Map(vowel, word), "v")
			share := float64(vowels) / float64(len(word))
			if share >= 0.2 && share <= 0.65 && longestConsonants(word) <= 4 {
				in += len(word)
			}
		}
		readable += float64(in) * calm(part)
	}
	return readable / float64(len(value))
}

var punctuation = regexp.MustCompile(`[^\pL\pN]`)

var words = regexp.MustCompile(`[A-Z]?[a-z]{4,}|[A-Z]{5,}`)

func vowel(r rune) rune {
	if strings.ContainsRune("aeiouyAEIOUY", r) {
		return 'v'
	}
	return 'c'
}

func longestConsonants(word string) int {
	longest := 0
	for _, run := range strings.Split(strings.Map(vowel, word), "v") {
		longest = max(longest, len(run))
	}
	return longest
}
