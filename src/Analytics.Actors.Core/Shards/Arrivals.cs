using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Routing;
using Google.Protobuf;

namespace Analytics.Actors.Core.Shards;

/// <summary>One record of station-events or of a source keyed by station, parsed once, and what of the shard it needs in memory.</summary>
/// <param name="Records">What it says of the shard's own stations.</param>
/// <param name="Failure">Why it cannot be read.</param>
/// <param name="Routed">Of a source record: all that it sends, to whichever shard.</param>
internal sealed record Arrival(LogRecord Record, IReadOnlyList<RecordParts> Records, string? Failure = null, RoutedRecord? Routed = null)
{
    /// <summary>It holds a global record, which concerns every station that owes a call.</summary>
    public bool IsGlobal { get; } = Records.Any(record => record.Global);

    /// <summary>The newest version of the configuration by which any of it was routed.</summary>
    public long Rules { get; } = Records.Count == 0 ? 0 : Records.Max(record => record.Rules);

    public static Arrival Of(in LogRecord record)
    {
        try
        {
            return new Arrival(record, PartsEnvelope.Parser.ParseFrom(record.Value.Span).Records);
        }
        catch (InvalidProtocolBufferException failure)
        {
            return new Arrival(record, [], failure.Message);
        }
    }

    /// <summary>The stations that its parts change; one may come more than once.</summary>
    public IEnumerable<string> Stations
    {
        get
        {
            foreach (var record in Records)
            {
                if (record.Global) continue;
                foreach (var part in record.Parts)
                {
                    if (part.Rejected is null) yield return part.Station;
                }
            }
        }
    }
}

/// <summary>
/// Records that wait, in order, for stations to be loaded. The first one that cannot be processed yet keeps all later ones
/// waiting, of whichever partition: positions and marks are prefixes. Their stations are asked for meanwhile.
/// </summary>
internal sealed class Arrivals(ResidentStations residents)
{
    private readonly Queue<Arrival> waiting = new();

    public int Count => waiting.Count;
    public long Bytes { get; private set; }

    public void Enqueue(Arrival arrival)
    {
        waiting.Enqueue(arrival);
        Bytes += arrival.Record.Value.Length;
        foreach (var station in arrival.Stations)
        {
            residents.Pin(station);
            residents.Load(station);
        }
    }

    public bool TryPeek(out Arrival arrival) => waiting.TryPeek(out arrival!);

    /// <summary>The first one has been processed.</summary>
    public void Dequeue()
    {
        var arrival = waiting.Dequeue();
        Bytes -= arrival.Record.Value.Length;
        foreach (var station in arrival.Stations) residents.Unpin(station);
    }

    /// <summary>Forgets what waits; it is read again by the next owner.</summary>
    public void Clear()
    {
        waiting.Clear();
        Bytes = 0;
    }
}
