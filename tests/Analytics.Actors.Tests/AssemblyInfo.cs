// Tests of whole nodes and of Kafka's groups mostly wait, for members that join and for answers: more run at once than there are
// processors. None of them measures.
[assembly: CollectionBehavior(MaxParallelThreads = 4)]
