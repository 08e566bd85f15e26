using Analytics.Actors.Core.Nodes;

namespace Analytics.Actors.Core.Shards;

/// <summary>What an operator may order of one station.</summary>
public enum StationOrder
{
    /// <summary>Windows go on; what would call modules answers nothing, until it is resumed.</summary>
    Pause = 1,
    /// <summary>The next trigger calls its modules again.</summary>
    Resume = 2,
    /// <summary>Its state is deleted; the next record makes it anew.</summary>
    Forget = 3,
}

/// <summary>What became of an order for a station.</summary>
public enum StationOrderOutcome
{
    /// <summary>A checkpoint that holds its effect has committed.</summary>
    Done = 1,
    /// <summary>There is no such station: nothing was done.</summary>
    UnknownStation = 2,
    /// <summary>The shard is not run by this node in that epoch: nothing was done.</summary>
    NotCarriedOut = 3,
    /// <summary>The shard was given up before the checkpoint was known to have committed: look at the station.</summary>
    Unknown = 4,
}

/// <summary>
/// Orders for stations of one shard, from their arrival until a checkpoint with their effect has committed: only then does
/// the operator hear of it. One for a station that is not in memory waits for it.
/// </summary>
internal sealed class StationOrders
{
    private readonly Dictionary<string, List<StationOrdered>> waiting = new(StringComparer.Ordinal);
    private readonly List<(StationOrdered Order, long? Checkpoint)> made = [];
    private readonly List<StationOrderEnded> ended = [];

    /// <summary>An effect waits for the next checkpoint.</summary>
    public bool IsUnsaved { get; private set; }

    /// <summary>The station's rows may still be other than it is: it stays in memory.</summary>
    public bool IsUnderWay(string station) => made.Exists(item => item.Order.Station == station);

    public void Await(StationOrdered order)
    {
        if (!waiting.TryGetValue(order.Station, out var orders)) waiting.Add(order.Station, orders = []);
        orders.Add(order);
    }

    /// <summary>The orders that waited for a station, in their order.</summary>
    public IReadOnlyList<StationOrdered> TakeWaiting(string station) => waiting.Remove(station, out var orders) ? orders : [];

    public void Made(StationOrdered order)
    {
        made.Add((order, null));
        IsUnsaved = true;
    }

    public void Refused(StationOrdered order, StationOrderOutcome outcome) => ended.Add(new StationOrderEnded(order.Number, outcome));

    public void CheckpointTaken(long number)
    {
        IsUnsaved = false;
        for (var index = 0; index < made.Count; index++)
        {
            if (made[index].Checkpoint is null) made[index] = (made[index].Order, number);
        }
    }

    public void Committed(long number)
    {
        foreach (var (order, checkpoint) in made)
        {
            if (checkpoint <= number) ended.Add(new StationOrderEnded(order.Number, StationOrderOutcome.Done));
        }

        made.RemoveAll(item => item.Checkpoint <= number);
    }

    /// <summary>What has ended since the last call.</summary>
    public void TakeEnded(List<NodeEffect> effects)
    {
        effects.AddRange(ended);
        ended.Clear();
    }

    /// <summary>The shard is given up: every order ends.</summary>
    public void Close(List<NodeEffect> effects)
    {
        TakeEnded(effects);
        foreach (var order in waiting.Values.SelectMany(orders => orders)) effects.Add(new StationOrderEnded(order.Number, StationOrderOutcome.NotCarriedOut));
        foreach (var (order, _) in made) effects.Add(new StationOrderEnded(order.Number, StationOrderOutcome.Unknown));
        waiting.Clear();
        made.Clear();
    }
}
