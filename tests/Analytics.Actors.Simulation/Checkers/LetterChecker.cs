using System.Text.Json;
using Analytics.Actors.Core;

namespace Analytics.Actors.Simulation;

/// <summary>Invariant 6: what cannot be used is in the dead letters, once, and nothing else is but what a fault explains.</summary>
public sealed class LetterChecker(Cluster cluster, Workload workload)
{
    // Faults make answers late and calls fail; a restored store meets answers of its lost future.
    private static readonly string[] Explained = ["late-answer", "call-failed"];

    public void Judge(Action<Finding> report)
    {
        var expected = workload.Expected.SelectMany(record => record.BadItems.Select(index => (record.Partition.Topic, record.Partition.Partition, record.Offset, index))).ToHashSet();
        var seen = new HashSet<(string Store, (string, int, long, int))>();
        var found = new HashSet<(string, int, long, int)>();
        foreach (var (_, record) in Outputs.Distinct(cluster.Log, cluster.Settings.DeadLetterTopic))
        {
            var letter = JsonDocument.Parse(record.Value).RootElement;
            var reason = letter.GetProperty("reason").GetString()!;
            if (Explained.Contains(reason)) continue;
            var place = (letter.GetProperty("topic").GetString()!, letter.GetProperty("partition").GetInt32(), letter.GetProperty("offset").GetInt64(), letter.GetProperty("index").GetInt32());
            _ = Origin.TryParse(record.Origin, out var origin);
            if (reason != "no-id" || !expected.Contains(place)) report(new Finding($"a dead letter that nothing explains: {letter}", $"{place.Item1}[{place.Item2}]"));
            // Under another store id an output may come again: it says so.
            else if (!seen.Add((origin.Store, place))) report(new Finding($"two dead letters of item {place}", $"{place.Item1}[{place.Item2}]"));
            found.Add(place);
        }

        foreach (var place in expected.Where(place => !found.Contains(place) && !cluster.Checkers.IsSkipped(new TopicPartition(place.Topic, place.Partition), place.Offset))) report(new Finding($"no dead letter of item {place}", $"{place.Topic}[{place.Partition}]"));
    }
}

/// <summary>What came out, without the repeats: as anyone outside can read it.</summary>
public static class Outputs
{
    public static IEnumerable<(TopicPartition Partition, StoredRecord Record)> Distinct(SimulatedLog log, string topic)
    {
        foreach (var partition in log.Partitions.Where(partition => partition.Topic == topic))
        {
            var highest = new Dictionary<string, long>();
            foreach (var record in log.Everything(partition))
            {
                if (!Origin.TryParse(record.Origin, out var origin)) continue;
                var run = $"{origin.Store}.{origin.Shard}.{origin.Partition}";
                if (highest.TryGetValue(run, out var known) && origin.Sequence <= known) continue;
                highest[run] = origin.Sequence;
                yield return (partition, record);
            }
        }
    }
}
