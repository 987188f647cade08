package collection

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxEcho is how many characters of somebody's input an error repeats at most.
const maxEcho = 64

// segment renders a member's name as the part of a location that follows its
// object's: .name, or ["a.b"] if the name is no identifier.
func segment(name string) string {
	short := clip(name, maxEcho)
	if short == name && identifier(name) {
		return "." + name
	}
	return "[" + strconv.Quote(short) + "]"
}

func identifier(s string) bool {
	for i, r := range s {
		if r != '_' && r != '$' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return s != ""
}

// locate renders the path to a place in value, which tells array indexes from
// names; what value does not have is taken for a name.
func locate(at string, value any, path []string) string {
	var b strings.Builder
	b.WriteString(at)
	for _, step := range path {
		switch v := value.(type) {
		case []any:
			b.WriteString("[" + step + "]")
			value = nil
			if i, err := strconv.Atoi(step); err == nil && i < len(v) {
				value = v[i]
			}
		case map[string]any:
			b.WriteString(segment(step))
			value = v[step]
		default:
			b.WriteString(segment(step))
		}
	}
	return b.String()
}

// relocate returns path if value has something there, else the first path of its
// length that ends in the same name. jsonschema v6.0.3 keeps the locations of
// propertyNames errors in memory that it goes on writing to, so that all but the
// last step may have become a sibling's.
func relocate(value any, path []string) []string {
	last := len(path) - 1
	var search func(value any, depth int, guided bool) []string
	search = func(value any, depth int, guided bool) []string {
		switch v := value.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				if guided && name != path[depth] || depth == last && name != path[last] {
					continue
				}
				if depth == last {
					return []string{name}
				}
				if rest := search(v[name], depth+1, guided); rest != nil {
					return append([]string{name}, rest...)
				}
			}
		case []any:
			for i, item := range v {
				step := strconv.Itoa(i)
				if guided && step != path[depth] || depth == last {
					continue
				}
				if rest := search(item, depth+1, guided); rest != nil {
					return append([]string{step}, rest...)
				}
			}
		}
		return nil
	}
	if found := search(value, 0, true); found != nil {
		return found
	}
	if found := search(value, 0, false); found != nil {
		return found
	}
	return path
}

// clip shortens s to n characters and an ellipsis.
func clip(s string, n int) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i] + "…"
		}
		n--
	}
	return s
}
