"""The code of the worker processes and of the forkserver; nothing else may import ``wire.sdk``."""
