package linux

type sysctls struct{ root string }
