// Package config is the daemon's own configuration: which interfaces are the LAN and the links, where things lie and where
// the daemon listens. Who may do what over which link is not here but in the policy.
//
// docs/CONFIG.md is the whole reference. Load refuses unknown keys and impossible values with file, line and column.
package config
