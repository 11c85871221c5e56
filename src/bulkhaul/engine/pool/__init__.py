"""The coordinator's side of its workers: starts them, gives them work, takes their answers."""
