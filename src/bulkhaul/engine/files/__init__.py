"""Objects as file objects of Python, for programs without an event loop."""
