package classify

import (
	"math"
	"regexp"
	"strings"
	"unicode"
)

// Degrees of randomness.
const (
	somewhatRandom = 0.5
	veryRandom     = 0.8
)

// randomness returns from 0 to 1 how much the value looks like random
// characters: the entropy of its characters against the most that a text of
// this length over its alphabet can have, less for what reads as words, less
// for what is too short to tell.
func randomness(value string) float64 {
	value = strings.TrimSpace(value)
	length := len([]rune(value))
	// A text has a space every six characters or so, a random value few or none.
	if length < 8 || strings.Count(value, " ")*16 > length || strings.ContainsAny(value, "\t\n") {
		return 0
	}
	score := entropy(value) / math.Log2(math.Min(float64(length), float64(alphabet(value))))
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
// words have them. Fewer come about by chance.
func wordiness(value string) float64 {
	readable := 0
	for _, word := range words.FindAllString(value, -1) {
		vowels := strings.Count(strings.Map(vowel, word), "v")
		share := float64(vowels) / float64(len(word))
		if share >= 0.2 && share <= 0.65 && longestConsonants(word) <= 4 {
			readable += len(word)
		}
	}
	return float64(readable) / float64(len(value))
}

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
