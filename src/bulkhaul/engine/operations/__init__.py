"""The small requests to a service, and the commands made of them; in the coordinator."""
