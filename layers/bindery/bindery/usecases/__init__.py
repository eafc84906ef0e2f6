"""Use cases, one module per operation. They use the domain, ports and state; never AWS, HTTP or a clock directly."""
