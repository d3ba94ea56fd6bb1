package rules

// The mapping of rules to controls. That of Security Hub, NIST and HIPAA for
// rotation, use and keys follows the related requirements of AWS's own controls
// (Security Hub user guide, "Secrets Manager controls", "KMS controls",
// "CloudTrail controls"); the rest is this project's reading of the standards.
func rotationControls(securityHub string) Controls {
	return Controls{
		SOC2: {"CC6.1", "CC6.2"}, ISO27001: {"A.5.17"},
		HIPAA:       {"164.308(a)(4)(ii)(B)", "164.308(a)(4)(ii)(C)", "164.308(a)(5)(ii)(D)"},
		NIST:        {"AC-2(1)", "AC-3(15)", "AC-24", "CM-5(1)", "SC-23(3)"},
		SecurityHub: {securityHub},
	}
}

func failedRotationControls() Controls {
	c := rotationControls("SecretsManager.2")
	c[SOC2] = []string{"CC6.1", "CC7.2"}
	c[ISO27001] = []string{"A.5.17", "A.8.16"}
	c[HIPAA] = []string{"164.308(a)(5)(ii)(D)"}
	return c
}

func keyControls(nist, securityHub []string) Controls {
	c := Controls{SOC2: {"CC6.1"}, ISO27001: {"A.8.24"}, HIPAA: {"164.312(a)(2)(iv)"}, NIST: nist}
	if securityHub != nil {
		c[SecurityHub] = securityHub
	}
	return c
}

func tagControls() Controls {
	return Controls{SOC2: {"CC6.1"}, ISO27001: {"A.5.9"}, NIST: {"CM-8"}, SecurityHub: {"SecretsManager.5"}}
}

func inventoryControls() Controls {
	return Controls{SOC2: {"CC6.1"}, ISO27001: {"A.5.9"}, NIST: {"CM-8"}}
}

func useControls() Controls {
	return Controls{
		SOC2: {"CC6.3"}, ISO27001: {"A.5.18"}, HIPAA: {"164.308(a)(4)(ii)(B)", "164.308(a)(4)(ii)(C)"},
		NIST: {"AC-2(1)", "AC-24"}, SecurityHub: {"SecretsManager.3"},
	}
}

func accessControls() Controls {
	return Controls{SOC2: {"CC6.6"}, ISO27001: {"A.8.3"}, HIPAA: {"164.312(a)(1)"}, NIST: {"AC-3", "AC-6"}}
}

func monitoringControls() Controls {
	return Controls{SOC2: {"CC6.1", "CC7.2"}, ISO27001: {"A.8.3", "A.8.16"}, HIPAA: {"164.312(b)"}, NIST: {"AC-6", "AU-6"}}
}

func replicaControls() Controls {
	return Controls{SOC2: {"A1.2"}, ISO27001: {"A.8.14"}, HIPAA: {"164.308(a)(7)(ii)"}, NIST: {"CP-9", "CP-10"}}
}

func trailControls(securityHub string) Controls {
	return Controls{SOC2: {"CC7.2"}, ISO27001: {"A.8.15"}, HIPAA: {"164.312(b)"}, NIST: {"AU-2", "AU-12"}, SecurityHub: {securityHub}}
}

func plaintextControls(securityHub ...string) Controls {
	c := Controls{SOC2: {"CC6.1"}, ISO27001: {"A.5.17"}, HIPAA: {"164.312(d)"}, NIST: {"IA-5(7)"}}
	if len(securityHub) > 0 {
		c[SecurityHub] = securityHub
	}
	return c
}

func governanceControls() Controls {
	return Controls{SOC2: {"CC3.4"}, ISO27001: {"A.5.36"}, NIST: {"CA-5"}}
}
