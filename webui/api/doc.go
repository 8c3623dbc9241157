// Package api is the router's HTTP interface: openapi.yaml is its specification, from which the types, the server's
// skeleton and the client of the command line are generated, and the handlers answer from router/engine.
//
// What a client sends is held to the specification before a handler sees it (Register); what goes wrong is told in
// schema Error (HandleError). It owns no state but the count of live streams. Place: engine -> api -> server.
package api

//go:generate go tool oapi-codegen --config oapi-codegen.yaml openapi.yaml
