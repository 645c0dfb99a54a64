package graph

// ZoneOf and the tables are what tests outside the package look into.
var ZoneOf = zoneOf

// WindowsZones are the names in the table.
func WindowsZones() (names []string) {
	for name := range windowsZones {
		names = append(names, name)
	}
	return names
}

// Routes are the methods and names of all paths, as in "GET me/presence".
func Routes() (all []string) {
	for name, methods := range table() {
		for method := range methods {
			all = append(all, method+" "+name)
		}
	}
	return all
}
