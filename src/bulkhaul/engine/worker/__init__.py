"""What runs in a worker process or in the forkserver; the only wing that may import ``wire.sdk``."""
