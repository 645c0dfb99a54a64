// Command loadtest loads a node, or a cluster, with people who look real, and
// says what they saw.
//
//	loadtest smoke                       ten seconds against a node of its own
//	loadtest list, loadtest show NAME    the scenarios that come with it
//	loadtest run NAME|FILE.yaml [--target URL ...] [--users N] [--seed N]
//	loadtest compare A.json B.json       what has become better and worse
//	loadtest issuer                      tokens for a cluster that is to be loaded
//
// It owns flags, signals, files and the exit code: 0 when every objective holds,
// 1 when one does not, 2 when the test could not be carried out. All else is in
// the packages under load.
package main
