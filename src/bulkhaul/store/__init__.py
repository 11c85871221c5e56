"""One bucket as an object with methods: the store contract (docs/store.md), kept by the engine and in memory."""
