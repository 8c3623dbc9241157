// Command trenza is a router that braids several weak internet links into one good connection.
package main

import (
	"os"

	"github.com/trenza-router/trenza/router/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:]))
}
