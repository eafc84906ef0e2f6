"""One file per verb. They know the domain, the ports and the state; never AWS, HTTP or a clock of their own."""
