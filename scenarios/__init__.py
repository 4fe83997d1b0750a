"""WORK that looks like users' work: a pipeline, a seeded generator and the truth, one file each."""
