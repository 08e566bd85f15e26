// The tests start brokers, nodes and processes that mostly wait for each other: two classes run at a time, the longest first, so that
// none is left alone at the end. Those that measure come after them, one after the other, with the machine to themselves.
[assembly: CollectionBehavior(CollectionBehavior.CollectionPerClass, MaxParallelThreads = 2)]
[assembly: TestCollectionOrderer("Analytics.Actors.Integration.Support.LongestFirst", "Analytics.Actors.Integration")]
