using System.Runtime.InteropServices;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Node.Bench.Workloads;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Node.Bench;

/// <summary>What a log holds: how many records, and what shards must have applied when they have read all of it.</summary>
internal sealed class BenchLog(IReadOnlyList<TopicPartition> partitions)
{
    private readonly Dictionary<TopicPartition, Witness> witnesses = [];
    private readonly Dictionary<TopicPartition, long> ends = [];

    public IReadOnlyList<TopicPartition> Partitions => partitions;

    public long Records { get; private set; }

    /// <summary>Records that say something of a station.</summary>
    public long Parts { get; private set; }

    /// <summary>Where a key's records are: with its shard, as the topics have as many partitions as there are shards.</summary>
    public static int PartitionOf(ReadOnlySpan<byte> key) => Murmur2.Partition(key, BenchBroker.Partitions);

    /// <summary>Takes the next record into account; its partition.</summary>
    /// <param name="hasPart">It says something of a station.</param>
    public TopicPartition Add(WorkloadRecord record, bool hasPart = true)
    {
        var partition = new TopicPartition(record.Topic, PartitionOf(record.Key));
        ref var end = ref CollectionsMarshal.GetValueRefOrAddDefault(ends, partition, out _);
        var place = new Place(end++, 0, 0);
        Records++;
        if (!hasPart) return partition;
        ref var witness = ref CollectionsMarshal.GetValueRefOrAddDefault(witnesses, partition, out _);
        witness = witness.With(place);
        Parts++;
        return partition;
    }

    /// <summary>Compares what the shards say that they applied with what lies in the log; "" where it is the same.</summary>
    public string Difference(IEnumerable<AppliedMark> marks)
    {
        var applied = new Dictionary<TopicPartition, Witness>();
        foreach (var mark in marks)
        {
            ref var witness = ref CollectionsMarshal.GetValueRefOrAddDefault(applied, new TopicPartition(mark.Topic, mark.Partition), out _);
            witness = new Witness(witness.Count + mark.Count, witness.Hash ^ mark.Hash);
        }

        var wrong = witnesses.Where(expected => applied.GetValueOrDefault(expected.Key) != expected.Value).ToList();
        return wrong.Count == 0 ? "" : $"{wrong.Count} partitions were not applied exactly once: of {wrong[0].Key} {applied.GetValueOrDefault(wrong[0].Key).Count} records instead of {wrong[0].Value.Count}";
    }
}
