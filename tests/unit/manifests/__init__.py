"""What manifests say of objects, and what becomes of it."""
