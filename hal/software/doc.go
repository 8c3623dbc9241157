// Package software is how this machine takes software: a card with two slots, or a package manager (dpkg, opkg, apk). It checks nothing of
// what it is told to install: that is done by the caller, before.
//
// Place in the flow's way: beside it; router/cli upgrades by it. It runs other programs; no locks, one call at a time.
package software
