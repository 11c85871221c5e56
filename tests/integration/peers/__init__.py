"""What other programs' command lines do here: tables of scenarios, each run on a real server."""
