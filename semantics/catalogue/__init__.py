"""The expectations, one file a family."""
