"""Who computes the shards: processes of this machine, or a Ray cluster.

Every engine does the same work (`attar.batch.work`) on the same shards, and so writes the same
bytes. An engine takes shards one by one, when somebody is free for them, and gives records of those
that are finished.
"""
