"""attar: the base of a convnet as a tool. Filter, detect, condense."""
