package main

// A machine is one build of the program.
type machine struct {
	goarch string
	extra  []string // further environment of the build
	debian string   // its name in Debian
	// openwrt are the package architectures that run the build; OpenWrt names them after the processor.
	openwrt []string
}

// machines are those that the database engine supports: no MIPS.
func machines() []machine {
	return []machine{
		{"amd64", nil, "amd64", []string{"x86_64"}},
		{"arm64", nil, "arm64", []string{"aarch64_generic", "aarch64_cortex-a53", "aarch64_cortex-a72", "aarch64_cortex-a76"}},
		// ARMv6 with floating point: the first Raspberry Pi and the Zero run it, and everything later.
		{"arm", []string{"GOARM=6"}, "armhf", []string{"arm_arm1176jzf-s_vfp", "arm_cortex-a7_neon-vfpv4", "arm_cortex-a9_vfpv3-d16", "arm_cortex-a15_neon-vfpv4"}},
		{"riscv64", nil, "riscv64", []string{"riscv64_generic"}},
	}
}
