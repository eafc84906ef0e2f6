"""What Bindery takes from others: container images by digest, and known vulnerabilities of the locked packages."""
