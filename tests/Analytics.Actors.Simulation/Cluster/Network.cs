using Analytics.Actors.Core;

namespace Analytics.Actors.Simulation;

/// <summary>The way between a node and a server. Each direction may be cut for itself.</summary>
public sealed class Link
{
    /// <summary>Requests arrive.</summary>
    public bool To { get; set; } = true;

    /// <summary>Answers arrive.</summary>
    public bool From { get; set; } = true;

    public bool IsUp => To && From;
}

/// <summary>
/// What happens to messages on their way to the log: they land late, twice, after their sender died, or never; their
/// acknowledgements get lost. A sender that is told of a failure knows nothing: the message may be there, or may come yet.
/// </summary>
public sealed class Network(Cluster cluster, int nodes)
{
    private readonly Link[] logs = Enumerable.Range(0, nodes).Select(_ => new Link()).ToArray();
    private readonly Link[] stores = Enumerable.Range(0, nodes).Select(_ => new Link()).ToArray();

    private World World => cluster.World;

    public Link ToLog(int node) => logs[node];

    public Link ToStore(int node) => stores[node];

    public void Heal()
    {
        foreach (var link in logs.Concat(stores)) link.To = link.From = true;
    }

    /// <summary>Sends a record to the log. <paramref name="report"/> hears once whether it was acknowledged, and at which offset, if the process still lives.</summary>
    public void Produce(SimulatedProcess process, TopicPartition destination, byte[]? key, byte[] value, string? origin, long timestampMs, Action<bool, long> report)
    {
        var sending = new Sending(report);
        process.Outstanding.Add(sending);
        var faults = cluster.Faults;
        var link = ToLog(process.Node);
        if (!link.To || World.Chance(faults.SendLost))
        {
            World.After(World.Between(100, 1_000), () => Answer(process, sending, false, -1));
            return;
        }

        var delay = World.Chance(faults.SendLate) ? World.Between(50, World.Chance(0.1) ? 10_000 : 1_500) : World.Between(1, 10);
        var twice = World.Chance(faults.SendTwice);
        var answerLost = World.Chance(faults.SendAnswerLost);
        World.After(delay, () =>
        {
            var offset = cluster.Log.Append(destination, timestampMs, key, value, origin);
            var isHeard = !answerLost && link.From;
            World.After(isHeard ? World.Between(1, 5) : World.Between(50, 500), () => Answer(process, sending, isHeard, offset));
        });
        // A client does not wait for an answer for ever, whatever the message does.
        if (delay > 1_000) World.After(1_000, () => Answer(process, sending, false, -1));
        // The same message lands once more, perhaps long after.
        if (twice) World.After(delay + World.Between(0, 2_000), () => cluster.Log.Append(destination, timestampMs, key, value, origin));
    }

    /// <summary>The process's producer starts a new session: all that is outstanding has failed, as far as it knows.</summary>
    public void RestartProducer(SimulatedProcess process)
    {
        World.Note($"{process.Name}: its producer starts again with {process.Outstanding.Count} messages outstanding");
        foreach (var sending in process.Outstanding.ToList()) Answer(process, sending, false, -1);
    }

    private static void Answer(SimulatedProcess process, Sending sending, bool sent, long offset) => process.Reach(() =>
    {
        if (process.Outstanding.Remove(sending)) sending.Report(sent, offset);
    });
}

/// <summary>A message that a process has sent and not heard of.</summary>
public sealed record Sending(Action<bool, long> Report);
