"""What passes between the processes of an engine."""
