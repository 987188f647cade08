package config

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Usage returns a line for each setting, for a command's help.
func Usage() string {
	var b strings.Builder
	for field := range reflect.TypeFor[Config]().Fields() {
		name := field.Tag.Get("env")
		if field.Tag.Get("secret") != "" {
			name += "[_FILE]"
		}
		fmt.Fprintf(&b, "  %-26s %s", name, field.Tag.Get("doc"))
		if value := field.Tag.Get("envDefault"); value != "" {
			fmt.Fprintf(&b, " Default %s.", value)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Setting is what one variable is, for a person to read.
type Setting struct {
	Name  string
	Value string // of a secret never more than "set" or "set by NAME_FILE"; "" if there is none
	Given bool   // by the environment; else it is the default
}

// Describe returns every setting as environment has it. It judges none.
func Describe(environment []string) []Setting {
	vars := variables(environment)
	var all []Setting
	for field := range reflect.TypeFor[Config]().Fields() {
		s := Setting{Name: field.Tag.Get("env")}
		file, value := vars[s.Name+"_FILE"], vars[s.Name]
		isSecret := field.Tag.Get("secret") != ""
		s.Given = value != "" || isSecret && file != ""
		switch {
		case !s.Given:
			s.Value = field.Tag.Get("envDefault")
		case isSecret && value != "":
			s.Value = "set"
		case isSecret:
			s.Value = "set by " + s.Name + "_FILE"
		default:
			s.Value = withoutPassword(value)
		}
		all = append(all, s)
	}
	return all
}

// withoutPassword hides the password of what should have none, but may.
func withoutPassword(value string) string {
	if u, err := url.Parse(value); err == nil && u.User != nil {
		return u.Redacted()
	}
	return value
}

// Unknown returns the names in environment that look like settings and are none,
// sorted: nobody reads them.
func Unknown(environment []string) []string {
	known := map[string]bool{}
	for field := range reflect.TypeFor[Config]().Fields() {
		name := field.Tag.Get("env")
		known[name] = true
		known[name+"_FILE"] = field.Tag.Get("secret") != ""
	}
	var unknown []string
	for name := range variables(environment) {
		if strings.HasPrefix(name, "WAYBILL_") && !strings.HasPrefix(name, "WAYBILL_TEST_") && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// variables reads a list of NAME=value.
func variables(environment []string) map[string]string {
	vars := map[string]string{}
	for _, entry := range environment {
		if name, value, ok := strings.Cut(entry, "="); ok {
			vars[name] = value
		}
	}
	return vars
}
