"""attar beside its peers: the same work, the same threads, one process, checked equal first."""
