"""Models of services and networks, and a client that drives the real policy against them in simulated time."""
