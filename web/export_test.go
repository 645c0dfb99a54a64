package web

// Paths lists what is served.
func Paths() []string {
	var paths []string
	for path := range load() {
		paths = append(paths, path)
	}
	return paths
}
