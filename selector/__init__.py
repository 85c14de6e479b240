"""Pick the best run of a self-supervised sweep without labels, and see what the choice cost."""
