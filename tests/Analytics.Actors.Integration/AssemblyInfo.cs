// The tests start brokers, nodes and processes that need the whole machine, and some of them measure: one after the other.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
