"""Features of a whole data set, shard by shard, such that nothing is lost or done twice."""
