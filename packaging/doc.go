// Command packaging makes the packages of a release: .deb for Debian and Raspberry Pi OS, .ipk for OpenWrt up to 24.10, .apk for OpenWrt from
// 25.12, with a bill of materials, and SHA256SUMS signed in minisign's form.
//
//	go run . -version 1.2.3 -time 1700000000 -key release.key -out ../bin/packages
//
// The same source, version and time make the same bytes: nothing of the machine, its clock or the order of its work goes in. What a package
// holds is the table in contents.go; for which machines there are packages is that in targets.go.
//
// It is a module of its own, so that the packagers' dependencies are not the router's. Place in the flow's way: none. Locks: none.
package main
