//go:build race

package app_test

// raceFlag builds the commands under the race detector, as the tests are.
var raceFlag = []string{"-race"}
