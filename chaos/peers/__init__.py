"""The same jobs, faults and checker for other systems; each has a small file here."""
