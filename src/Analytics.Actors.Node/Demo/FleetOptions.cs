namespace Analytics.Actors.Node.Demo;

/// <summary>How large a fleet is, how much it says and how badly it behaves.</summary>
public sealed record FleetOptions
{
    /// <summary>When the simulation begins, ms since 1970 UTC. All later times come from the caller too.</summary>
    public required long StartMs { get; init; }
    public int Stations { get; init; } = 200;
    public int Seed { get; init; } = 1;

    /// <summary>Records per second after the start burst; 0: as many as the caller asks for.</summary>
    public double RecordsPerSecond { get; init; } = 500;

    /// <summary>Offset from UTC of the times that stations write (without a zone).</summary>
    public TimeSpan TimeZone { get; init; } = TimeSpan.FromHours(8);

    /// <summary>Every so many stations one is late: it starts late, and its timestamps lag and jump back.</summary>
    public int LateEvery { get; init; } = 16;

    /// <summary>Every so many stations one never says anything, and another falls silent while the demo runs.</summary>
    public int SilentEvery { get; init; } = 40;

    /// <summary>Pause between two bad records.</summary>
    public long BadRecordEveryMs { get; init; } = 1_000;

    /// <summary>
    /// How often a station pushes its 168 hours. Platforms do it hourly; the demo shortens the hour, so that a short run
    /// sees more than one push.
    /// </summary>
    public long RealtimePushEveryMs { get; init; } = 60_000;

    /// <summary>How often the calendar, the parameters and the tariffs come again.</summary>
    public long SlowTopicsEveryMs { get; init; } = 45_000;

    /// <summary>The start burst is spread so that it stays below this.</summary>
    public long BurstBytesPerSecond { get; init; } = 12_000_000;

    /// <summary>Stations in one record of a topic whose envelope is a list.</summary>
    public int StationsPerList { get; init; } = 16;

    /// <summary>A record of hourly history stays below this.</summary>
    public int RealtimeRecordBytesMax { get; init; } = 300_000;

    /// <summary>Hours of history in a push.</summary>
    public int HistoryHours { get; init; } = 168;
}
