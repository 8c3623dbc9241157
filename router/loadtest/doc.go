// Package loadtest measures what happens to the delay of one link while it is full: it downloads from a server and uploads to it over sockets that
// are tied to the link, pings that server all the time, and grades how much longer the pings take.
//
// It owns the measurement (Run), the grade, the pictures of a result (Plot, SVG), and a server to measure against (Handler). Nothing here decides
// whether a link may be tested; what a test costs in data is up to who asks for it.
//
// Place in the flow's way: beside it. hal -> loadtest -> engine. Locks: the ones inside Run.
package loadtest
