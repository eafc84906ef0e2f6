"""Supply chain: container images by digest, and known vulnerabilities of the locked packages."""
