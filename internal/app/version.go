package app

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version and revision are set by the linker (-X) in releases and images.
var version, revision string

// Version is this program's version: the linker's, else the module's, else the
// commit's, else "dev".
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	if commit, _ := commit(); len(commit) >= 12 {
		return "dev-" + commit[:12]
	}
	return "dev"
}

// VersionLine is what -version prints: the version, the commit where it is known,
// and what it was built with and for.
func VersionLine() string {
	line := Version()
	if commit, modified := commit(); commit != "" {
		line += ", commit " + commit
		if modified {
			line += " with changes"
		}
	}
	return fmt.Sprintf("%s, %s, %s/%s", line, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// commit is the linker's revision, else the one that go build noted; "" if none is known.
func commit() (id string, modified bool) {
	if revision != "" {
		return revision, false
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				id = s.Value
			case "vcs.modified":
				modified = s.Value == "true"
			}
		}
	}
	return id, modified
}
