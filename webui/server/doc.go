// Package server serves the page, the API and the metrics over HTTP, and the API on the control socket for the command
// line. Place: api -> server. It owns the listeners; requests are handled on their own goroutines.
//
// When the context ends, live streams end at once and other requests have Options.Grace to finish; Run returns after that.
// A page whose address is taken is tried again until it is free. Locks: none; the parts are made before the first request.
//
// Who asks is found by webui/auth; the socket belongs to the user that runs the router and is root. Requests from the network are held
// to what a browser on our own page would send, so that no other page that a person visits can reach the router through
// their browser. The page's files and the router's own certificate are everyone's; docs/SECURITY.md has the whole picture.
package server
