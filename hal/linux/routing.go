package linux

type routing struct{}
