"""One contract for every store: each test is named by its row, and runs on each store of ``subjects.STORES``."""
