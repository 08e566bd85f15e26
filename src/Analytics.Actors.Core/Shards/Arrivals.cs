using System.Text;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Core.Shards;

/// <summary>
/// One record of station-events or of a source keyed by station, read: what it says, and what of the shard it needs in
/// memory. One object serves one record after another.
/// </summary>
internal sealed class Arrival
{
    private readonly PartsReader reader = new();
    private RoutedParts.Run own;

    public LogRecord Record { get; private set; }

    /// <summary>All that the record sends, to whichever shard; of an envelope all is the shard's own.</summary>
    public RoutedRecord Routed { get; } = new();

    /// <summary>Why it cannot be read.</summary>
    public string? Failure { get; private set; }

    /// <summary>It is a source record, which may send something elsewhere.</summary>
    public bool IsSource { get; private set; }

    /// <summary>It holds a global record, which concerns every station that owes a call.</summary>
    public bool IsGlobal { get; private set; }

    /// <summary>The newest version of the configuration by which any of it was routed.</summary>
    public long Rules { get; private set; }

    /// <summary>What it says of the shard's own stations.</summary>
    public ReadOnlySpan<RoutedParts.Record> Own => Routed.Parts.Records.Of(own);

    /// <summary>Of each part its station, as far as it is in memory; null where the part needs none.</summary>
    public Rows<Station?> Stations { get; } = new();

    public void ReadEnvelope(in LogRecord record)
    {
        (Record, IsSource) = (record, false);
        Routed.Clear();
        Failure = reader.Read(record.Value, Routed.Parts);
        Begin(Routed.Parts.Records.Since(0));
    }

    public void ReadSource(in LogRecord record, RecordRouter rules, int incarnation, ShardId shard)
    {
        (Record, Failure, IsSource) = (record, null, true);
        rules.Route(new SourceRecord(record.Partition, record.Offset, record.TimestampMs, record.Value, record.Origin), incarnation, Routed);
        var records = Routed.Parts.Records;
        for (var index = 0; index < records.Count; index++)
        {
            if (records[index].Shard != shard.Value) continue;
            // The log is read from a stored position: nothing can be missing before.
            records[index].PreviousOffset = -1;
            Begin(new RoutedParts.Run(index, 1));
            return;
        }

        Begin(default);
    }

    /// <summary>A part changes a station: it is neither rejected nor global.</summary>
    public static bool NeedsStation(in RoutedParts.Record record, in RoutedParts.Part part) => !record.Global && part.Rejected is null;

    /// <summary>The stations that its own parts change, each once.</summary>
    public string[] StationIds()
    {
        var ids = new HashSet<string>(StringComparer.Ordinal);
        foreach (ref readonly var record in Own)
        {
            foreach (ref readonly var part in Routed.Parts.Parts.Of(record.Parts))
            {
                if (NeedsStation(record, part)) ids.Add(Encoding.UTF8.GetString(part.Station.Span));
            }
        }

        return [.. ids];
    }

    private void Begin(RoutedParts.Run records)
    {
        own = records;
        (IsGlobal, Rules) = (false, 0);
        foreach (ref readonly var record in Own)
        {
            IsGlobal |= record.Global;
            Rules = Math.Max(Rules, record.Rules);
        }
    }
}

/// <summary>A record that waits for stations to be loaded, with its own copy of the bytes; it is read again when they are there.</summary>
internal sealed record WaitingRecord(LogRecord Record, IReadOnlyList<string> Stations, bool IsGlobal);

/// <summary>
/// Records that wait, in order, for stations to be loaded. The first one that cannot be processed yet keeps all later ones
/// waiting, of whichever partition: positions and marks are prefixes. Their stations are asked for meanwhile.
/// </summary>
internal sealed class Arrivals(ResidentStations residents)
{
    private readonly Queue<WaitingRecord> waiting = new();

    public int Count => waiting.Count;
    public long Bytes { get; private set; }

    public void Enqueue(Arrival arrival)
    {
        var record = arrival.Record with
        {
            Value = arrival.Record.Value.ToArray(), Key = arrival.Record.Key is { } key ? key.ToArray() : default(ReadOnlyMemory<byte>?), Chunk = null,
        };
        var stations = arrival.StationIds();
        waiting.Enqueue(new WaitingRecord(record, stations, arrival.IsGlobal));
        Bytes += record.Value.Length;
        foreach (var station in stations)
        {
            residents.Pin(station);
            residents.Load(station);
        }
    }

    public bool TryPeek(out WaitingRecord record) => waiting.TryPeek(out record!);

    /// <summary>The first one has been processed.</summary>
    public void Dequeue()
    {
        var record = waiting.Dequeue();
        Bytes -= record.Record.Value.Length;
        foreach (var station in record.Stations) residents.Unpin(station);
    }

    /// <summary>Forgets what waits; it is read again by the next owner.</summary>
    public void Clear()
    {
        waiting.Clear();
        Bytes = 0;
    }
}
