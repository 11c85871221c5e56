"""Objects moved, one or many, in each direction; in the coordinator."""
