"""A server that stands before another one, or is one, and misbehaves on demand."""
