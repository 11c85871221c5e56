"""What ``bulkhaul run`` is made of: lines are read, parsed, carried out by one engine, and reported."""
