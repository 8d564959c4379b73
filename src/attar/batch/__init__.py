"""Features of a whole data set, shard by shard, so that nothing is lost and nothing is done twice."""
