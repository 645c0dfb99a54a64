// Package report is what a load test has found: as JSON for programs, as one HTML
// page for people, and as the difference between two.
//
// It owns the form of both files. The page needs nothing from anywhere: its plots
// are SVG in the page, there is no script and no link out. It never measures.
//
//	run --> Outcome --> JSON, HTML
//	                     |
//	        Read  <------'  two of them --> Compare
package report
