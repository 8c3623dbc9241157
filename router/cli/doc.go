// Package cli holds the subcommands, and is the composition root: the only place where the machine's implementation, the
// logger and the web server are chosen and put together.
//
// `router` and `lab` run until they are told to stop; the others ask the running router over its control socket, or
// (policy check, diff, classify, doctor, version) work alone. With --json a command prints what the API answers.
//
// Exit codes: 0 done; 1 it failed; 2 the command line or a file is wrong; 3 no router answers; 4 the answer is "no":
// a blocked flow, a policy with problems, a machine that lacks something required.
package cli
