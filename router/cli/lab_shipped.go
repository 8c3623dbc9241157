//go:build shipped

package cli

// labCommands: a packaged router does not contain the test house.
type labCommands struct{}

func labSocket() string { return "" }
