// Package vm is the second test bench: a small virtual machine with Debian's own kernel, which has what the build machine's kernel
// may lack (packet queues, flow tables, cake, netem, WiFi, USB, PPP). The first bench is package netlab, in namespaces of
// the machine's own kernel; docs/TESTING.md says when to use which.
//
// A job is an ordinary Go test program, built on the host and run in a guest as root. Command vmrun is what `go test -exec`
// wants: it starts one guest for one test program, so a guest that hangs or panics takes only its own package with it.
//
//	go test -tags vm -exec "$PWD/bin/vmrun exec" ./integration/vm/guest/...
//
// A package whose tests can only pass in a guest says so by the build tag vm in each of its test files: plain `go test ./...`
// does not see them, and vet and the linter look at them with the tag. A package that also runs on the host (the
// scenarios) has no tag.
//
// What a guest finds:
//   - a Debian root with the packages of image/packages, fresh and writable in every guest (an overlay in memory);
//   - the checkout at its own path, read-only, with the working directory in the package as usual, so testdata is there;
//   - the host's variables TRENZA_*, GODEBUG and GOTRACEBACK, TRENZA_VM=1, and in an emulated guest
//     TRENZA_SLOWNESS;
//   - kernel modules, loaded by whoever needs them (modprobe, or the kernel itself);
//   - a USB host controller ("usb") with nothing plugged in, and the machine's own control channel (QMP, the port "trenza.qmp"
//     of /sys/class/virtio-ports): a test can plug a device in and pull it out;
//   - no services: a test starts what it wants.
//
// A package's folder may hold a file vm.options: see [ParseOptions].
//
// Flow of a run: Ready builds or finds the image (image.go), Accelerator tries what the processor offers (accelerator.go), Run writes
// the job's share, starts qemu and reads the channel (job.go, machine.go). Inside, image/init.sh mounts and start.sh runs.
//
// Locks: a file beside each image in the cache. Whoever runs a guest holds it shared, whoever builds or removes the image holds it alone.
package vm
