using System.Globalization;

namespace Analytics.Actors.Simulation;

/// <summary>The size and the limits of one run, drawn from the seed and printed with it.</summary>
public sealed record Scenario
{
    public required int Nodes { get; init; }
    public required int Shards { get; init; }
    public required int Stations { get; init; }
    public required int Records { get; init; }

    /// <summary>Records whose module call kills the process, each time.</summary>
    public required int Poisons { get; init; }
    public required int EnvelopeBytesMax { get; init; }
    public required int CallsMax { get; init; }
    public required long OutboxBytesMax { get; init; }
    public required long WaitingBytesMax { get; init; }

    /// <summary>Of one topic, read and not routed; and of all topics, routed and not applied.</summary>
    public required long TopicWaitingBytesMax { get; init; }
    public required long AheadBytesMax { get; init; }

    /// <summary>Stations that a shard keeps in memory: often so few that they are passivated and loaded all the time.</summary>
    public required int StationsMax { get; init; }
    public required long PassivateAfterMs { get; init; }

    /// <summary>Stations of ended batches that a shard keeps for late answers.</summary>
    public required int RetainedStationsMax { get; init; }
    public required int ArrivalsMax { get; init; }
    public required long CheckpointIntervalMs { get; init; }
    public required long UrgentIntervalMs { get; init; }
    public required long ReleaseLimitMs { get; init; }

    /// <summary>How long Kafka's group waits for a node that says nothing.</summary>
    public required int SessionTimeoutMs { get; init; }

    public static Scenario Draw(Random random, int? nodes)
    {
        int Small(int one, int small, int large) => random.Next(one) == 0 ? small : large;
        var drawnNodes = random.Next(1, 5);
        return new Scenario
        {
            Nodes = nodes ?? drawnNodes,
            Shards = random.Next(2, 5),
            Stations = random.Next(3, 12),
            Records = random.Next(20, 150),
            Poisons = random.Next(6) == 0 ? random.Next(1, 3) : 0,
            EnvelopeBytesMax = Small(3, 150, 512 * 1024),
            CallsMax = Small(4, 3, 10_000),
            OutboxBytesMax = Small(4, 2_000, 16 * 1024 * 1024),
            WaitingBytesMax = Small(4, 1_000, 32 * 1024 * 1024),
            StationsMax = Small(2, random.Next(1, 4), 10_000),
            PassivateAfterMs = random.Next(1_000, 60_000),
            RetainedStationsMax = Small(4, 2, 100_000),
            ArrivalsMax = Small(4, 2, 10_000),
            CheckpointIntervalMs = random.Next(100, 1_000),
            UrgentIntervalMs = random.Next(5, 100),
            ReleaseLimitMs = random.Next(100, 2_000),
            SessionTimeoutMs = random.Next(500, 2_000),
            TopicWaitingBytesMax = Small(3, random.Next(200, 2_000), 4 * 1024 * 1024),
            AheadBytesMax = Small(3, random.Next(500, 4_000), 16 * 1024 * 1024),
        };
    }

    /// <summary>The members of a drawn record that are not at rest, in one line.</summary>
    public static string Describe(object drawn) => string.Join(", ", drawn.GetType().GetProperties()
        .Where(property => property.CanWrite)
        .Select(property => (property.Name, Value: property.GetValue(drawn)))
        .Where(option => option.Value is not (0 or 0.0 or false))
        .Select(option => $"{option.Name} {(option.Value is double rate ? rate.ToString("0.####", CultureInfo.InvariantCulture) : Convert.ToString(option.Value, CultureInfo.InvariantCulture))}"));
}
