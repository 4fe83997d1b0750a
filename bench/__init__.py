"""HOW fast, how big, how soon back."""
