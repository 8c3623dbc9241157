// Package client is a LAN host of the lab: real clients that run in the network namespace of their process, and resolve
// names through the resolver that the host was given, never through the machine's.
//
// Client does the work in this process. Agent has the same methods and sends them as jobs to one long-lived process in
// a host's namespace, over its standard input and output: a test starts one process for each host, not one for each flow.
// Serve is the other end, which the hidden subcommand runs.
//
// The line protocol is one JSON value a line. To the agent: Job, the first of kind "setup". From the agent: Reply, for each job
// any number of "progress" and then one "done". Jobs run at the same time; a job of kind "cancel" ends another. When
// the agent's input ends it cancels all jobs, and ends.
//
// Every job that reaches a server of the lab returns what that server saw (wire.Seen): the source address tells the
// link. Each flow is new: no connection and no TLS session is shared between jobs.
//
// Locks: both ends of the protocol have one mutex over their table of open jobs and one over their output, never held
// together. Client has no state.
package client
