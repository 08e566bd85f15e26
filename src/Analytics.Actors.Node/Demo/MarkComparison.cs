using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Analytics.Actors.Core;

namespace Analytics.Actors.Node.Demo;

/// <summary>What a node says that one shard applied of one source partition: the count of parts and the XOR of their places' hashes.</summary>
public readonly record struct AppliedMark(int Shard, string Topic, int Partition, long Count, ulong Hash)
{
    /// <summary>Of a shard's mark of a source partition, whatever its incarnation: the ledger sums them.</summary>
    public static AppliedMark Of(ShardId shard, SourcePartition source, long count, ulong hash) => new(shard.Value, source.Topic, source.Partition, count, hash);

    /// <summary>Of a line of <c>/api/v1/marks</c>.</summary>
    public static AppliedMark Of(JsonNode mark) => new(
        (int)mark["shard"]!, (string)mark["topic"]!, (int)mark["partition"]!, (long)mark["applied_count"]!,
        ulong.Parse((string)mark["applied_hash"]!, NumberStyles.HexNumber, CultureInfo.InvariantCulture));
}

/// <summary>Of one shard and one source partition.</summary>
public readonly record struct WitnessKey(int Shard, string Topic, int Partition);

/// <summary>Count and XOR of the hashes of places: independent of order, and changed by every missing or repeated part.</summary>
public readonly record struct Witness(long Count, ulong Hash)
{
    public Witness With(Place place) => new(Count + 1, Hash ^ place.Hash());
    public Witness Without(Place place) => new(Count - 1, Hash ^ place.Hash());
}

/// <summary>One shard and source partition for which a node applied something else than what was acknowledged.</summary>
/// <param name="Explanation">The place that is missing or was applied twice, where the hashes tell it; else empty.</param>
public sealed record WitnessDifference(WitnessKey Key, Witness Expected, Witness Applied, long Lost, long Duplicated, string Explanation);

/// <summary>
/// Compares what was acknowledged with what the shards applied. The counts tell how many are lost or doubled; where they
/// agree and the hashes do not, at least one is lost and one doubled.
/// </summary>
public static class MarkComparison
{
    /// <summary>The known places of one shard and source partition, and whether those are all.</summary>
    public delegate (IEnumerable<Place> Places, bool AreAll) PlacesOf(WitnessKey key);

    public static IReadOnlyList<WitnessDifference> Compare(
        IReadOnlyDictionary<WitnessKey, Witness> expected, IReadOnlyDictionary<WitnessKey, Witness> applied, PlacesOf places)
    {
        var differences = new List<WitnessDifference>();
        foreach (var key in expected.Keys.Union(applied.Keys))
        {
            var should = expected.GetValueOrDefault(key);
            var was = applied.GetValueOrDefault(key);
            if (should != was) differences.Add(Explain(key, should, was, places));
        }

        differences.Sort((left, right) => (left.Key.Topic, left.Key.Partition, left.Key.Shard).CompareTo((right.Key.Topic, right.Key.Partition, right.Key.Shard)));
        return differences;
    }

    /// <summary>Marks of one shard and partition (several incarnations, several logs) as one witness; only of these topics.</summary>
    public static Dictionary<WitnessKey, Witness> Sum(IEnumerable<AppliedMark> marks, Func<string, bool> isSource)
    {
        var sum = new Dictionary<WitnessKey, Witness>();
        foreach (var mark in marks)
        {
            if (!isSource(mark.Topic) || mark is { Count: 0, Hash: 0 }) continue;
            ref var witness = ref CollectionsMarshal.GetValueRefOrAddDefault(sum, new WitnessKey(mark.Shard, mark.Topic, mark.Partition), out _);
            witness = new Witness(witness.Count + mark.Count, witness.Hash ^ mark.Hash);
        }

        return sum;
    }

    private static WitnessDifference Explain(WitnessKey key, Witness should, Witness was, PlacesOf places)
    {
        var more = was.Count - should.Count;
        var lost = Math.Max(0, -more);
        var duplicated = Math.Max(0, more);
        var explanation = "";
        if (more == 0)
        {
            lost = duplicated = 1;
        }
        else if (more is 1 or -1)
        {
            // One missing or one repeated part changes the XOR by exactly its own hash.
            var hash = should.Hash ^ was.Hash;
            var (known, areAll) = places(key);
            var found = known.Where(place => place.Hash() == hash).Take(1).ToArray();
            if (found.Length == 1)
            {
                explanation = $"{(more < 0 ? "missing" : "repeated")}: {key.Topic}:{key.Partition}:{found[0].Offset}, item {found[0].Index}";
            }
            else if (areAll && more < 0)
            {
                // No single missing part explains the difference: at least two are missing, and something else came once too often.
                lost++;
                duplicated++;
            }
            else if (areAll)
            {
                explanation = $"{key.Topic}[{key.Partition}], shard {key.Shard}: something was applied that no acknowledged record says";
            }
        }

        return new WitnessDifference(key, should, was, lost, duplicated, explanation);
    }
}
