"""What the event loop of every process needs beside asyncio: waits, threads, callbacks."""
