namespace Analytics.Actors.Core.Pipeline;

// The validated model of cluster-config/pipeline.json. PipelineReader builds it; everything else may trust it.

/// <summary>The topics, the modules, and the defaults for both. Immutable.</summary>
public sealed record PipelineConfiguration
{
    /// <summary>The file that it was read from, as it was written.</summary>
    public string Text { get; init; } = "";

    /// <summary>Offset from UTC of times that are written without a zone.</summary>
    public required TimeSpan TimeZone { get; init; }

    /// <summary>All source topics by name, in the file's order: declared ones, then the output topics of modules.</summary>
    public required IReadOnlyDictionary<string, TopicConfiguration> Topics { get; init; }

    /// <summary>All modules by name, in the file's order.</summary>
    public required IReadOnlyDictionary<string, ModuleConfiguration> Modules { get; init; }

    /// <summary>Code tables by name (assumed values, for example the tariff kinds behind <c>feeNo</c>): code to meaning.</summary>
    public IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>> CodeTables { get; init; } =
        new Dictionary<string, IReadOnlyDictionary<string, string>>();
}

/// <summary>Who a record of a topic is about.</summary>
public enum TopicScope { Station, Global }

/// <summary>How a part changes its window.</summary>
public enum UpdateMode
{
    /// <summary>Each item is an entry; the newest <see cref="TopicConfiguration.Window"/> stay.</summary>
    Append,
    /// <summary>The part's rows are the new window.</summary>
    Replace,
    /// <summary>The latest item per device.</summary>
    Device,
    /// <summary>Items of one second of event time belong together (orders); a second is delivered when it closes.</summary>
    Second,
}

/// <summary>How grid rows find their period.</summary>
public enum GridAlignment { Period, Newest }

/// <summary>What fills a hole in a series. Text is never interpolated: Linear then acts as Forward.</summary>
public enum FillStrategy { Zero, Forward, Linear, Missing }

/// <summary>What a selected field that the payload lacks becomes.</summary>
public enum AbsentFields { Omit, Null }

/// <summary>How a window becomes members of the module input.</summary>
public enum ShapeKind
{
    /// <summary>Selected fields of the entries, flat; a list per field where the window holds more than one entry.</summary>
    Fields,
    /// <summary>A list of objects in the newest entry, turned into one list per field.</summary>
    Columns,
    /// <summary>Rows on a regular grid of periods; see <see cref="GridConfiguration"/>.</summary>
    Grid,
    /// <summary>Lists per key (guns), aligned over all entries; see <see cref="AlignedConfiguration"/>.</summary>
    Aligned,
    /// <summary>A list of the latest payloads per device, by device code as text.</summary>
    Devices,
    /// <summary>Selected fields and a numbered run of members (feeNo1 to feeNo48) as one list.</summary>
    Tariff,
    /// <summary>The whole items of the newest closed second.</summary>
    Orders,
    /// <summary>All members of the newest entry, flat.</summary>
    Flat,
}

/// <summary>How a record holds its items; alternatives are tried in the order written.</summary>
public enum EnvelopeKind
{
    /// <summary>The record is one object, the item.</summary>
    Object,
    /// <summary>The record is a list of objects.</summary>
    List,
    /// <summary>A member of the record holds the list.</summary>
    Member,
    /// <summary>One single module result: the id is the record's, the item is its member <c>output</c>.</summary>
    Output,
}

/// <summary>One way in which a record may hold its items. <see cref="Member"/> is set for <see cref="EnvelopeKind.Member"/> only.</summary>
public sealed record EnvelopeForm(EnvelopeKind Kind, string? Member = null);

/// <summary>What JSON a field must hold; null is always allowed, and so is absence.</summary>
public enum FieldType { Any, Text, Number, Boolean, List, Object }

/// <summary>A field taken from the payload: <see cref="Source"/> is its path there (members joined by dots), <see cref="Name"/> its name in the input.</summary>
public sealed record FieldSelection(string Source, string Name)
{
    /// <summary>JSON text used where the member is missing (columns, aligned lists); null: see <see cref="TopicConfiguration.Absent"/>.</summary>
    public string? Default { get; init; }

    /// <summary>Set for a computed field: 0, 1, 2, ... as long as this payload list (a DCDC host's moduleIndex).</summary>
    public string? IndexOf { get; init; }

    /// <summary>An item in which this member is of another kind is rejected as <c>wrong-type</c>.</summary>
    public FieldType Type { get; init; }
}

/// <summary>What a grid reads from each row.</summary>
/// <param name="Keys">Path of the list of keys (gun numbers) of a row; null for a grid without keyed series.</param>
/// <param name="KeysName">Name of the key list in the input.</param>
/// <param name="TimesName">Name of the list of period times in the input.</param>
/// <param name="KeyedSeries">Lists with one value per key: the input gets [period][key].</param>
/// <param name="RowSeries">Single values per row: the input gets [period]; absent where no row carries it.</param>
public sealed record GridConfiguration(
    string? Keys, string? KeysName, string TimesName,
    IReadOnlyList<FieldSelection> KeyedSeries, IReadOnlyList<FieldSelection> RowSeries);

/// <summary>Lists aligned by a key list (guns): keys in order of first appearance over the window; a hole takes the
/// nearest earlier value, else the nearest later, else the field's default.</summary>
public sealed record AlignedConfiguration(string Keys, string KeysName, string TimesName, IReadOnlyList<FieldSelection> Series);

/// <summary>A numbered run of members, Prefix1 .. PrefixCount, as one list named <paramref name="Name"/>; absent ones are null.</summary>
public sealed record TariffConfiguration(string Prefix, string Name, int Count);

/// <summary>Where reading begins without a stored position.</summary>
public enum StartKind { Latest, Earliest, Timestamp, Group }

/// <param name="Kind">What decides the first offset.</param>
/// <param name="TimestampMs">For Timestamp: milliseconds since 1970 UTC.</param>
/// <param name="Group">For Group: the consumer group whose committed offsets are taken over.</param>
public sealed record StartPosition(StartKind Kind, long TimestampMs = 0, string? Group = null);

/// <summary>What to do with a position that is outside the log.</summary>
public enum OutOfRangeKind { Stop, Earliest, Latest, Timestamp }

/// <summary>The policy with its time, for Timestamp: milliseconds since 1970 UTC.</summary>
public sealed record OutOfRangePolicy(OutOfRangeKind Kind, long TimestampMs = 0);

/// <summary>One source topic. Times are milliseconds.</summary>
public sealed record TopicConfiguration
{
    public required string Name { get; init; }
    public required IReadOnlyList<EnvelopeForm> Envelope { get; init; }

    /// <summary>Paths of the station id in an item, tried in order.</summary>
    public required IReadOnlyList<string> StationPaths { get; init; }
    public TopicScope Scope { get; init; }

    /// <summary>
    /// Its records' keys are station ids, and it has as many partitions as there are shards: each shard reads the partition
    /// of its own number, and no router does.
    /// </summary>
    public bool Keyed { get; init; }

    /// <summary>Member of an item that carries event time; null: the record's timestamp.</summary>
    public string? TimeMember { get; init; }

    /// <summary>
    /// Member by whose time the items of one part are put in order, oldest first (a tariff list that names a station
    /// twice); null: as the record has them. An item without a readable time comes first.
    /// </summary>
    public string? OrderMember { get; init; }
    public UpdateMode Mode { get; init; }

    /// <summary>For <see cref="UpdateMode.Device"/>: the member that names the device.</summary>
    public string? DeviceMember { get; init; }

    /// <summary>Entries, rows or seconds kept; at least 1.</summary>
    public int Window { get; init; } = 1;
    public long? PeriodMs { get; init; }
    public GridAlignment Align { get; init; }
    public ShapeKind Shape { get; init; }

    /// <summary>The input member that holds the whole shape (device_host_dcdc, car_order, car_price); null: flat.</summary>
    public string? ShapeMember { get; init; }
    public GridConfiguration? Grid { get; init; }
    public AlignedConfiguration? Aligned { get; init; }
    public TariffConfiguration? Tariff { get; init; }

    /// <summary>For <see cref="ShapeKind.Columns"/>: the member of the entry that holds the list of objects.</summary>
    public string? ColumnsMember { get; init; }
    public FillStrategy Fill { get; init; } = FillStrategy.Missing;

    /// <summary>Whether a window shorter than <see cref="Window"/> is padded in front by <see cref="Fill"/> (Fields shape).</summary>
    public bool Pad { get; init; }

    /// <summary>Empty: all members.</summary>
    public IReadOnlyList<FieldSelection> Fields { get; init; } = [];
    public AbsentFields Absent { get; init; }
    public long? TtlMs { get; init; }
    public bool Triggers { get; init; } = true;
    public StartPosition Start { get; init; } = new(StartKind.Latest);
    public OutOfRangePolicy OutOfRange { get; init; } = new(OutOfRangeKind.Stop);

    /// <summary>The module whose output topic this is; null for all others.</summary>
    public string? OutputOf { get; init; }
}

/// <summary>What a trigger does while required topics are missing: answer nothing, or call after a delay.</summary>
public enum IncompletePolicy { Wait, Call }
/// <summary>Whether each trigger has a call of its own, or those that wait share one.</summary>
public enum CoalescePolicy { Every, Latest }
/// <summary>What makes a batch: one record, a span of event time, or nothing (each result alone).</summary>
public enum BatchKind { Record, Window, None }
/// <summary>How an upload names its members: as this system does, or as the Python library did.</summary>
public enum UploadFormat { Current, Legacy }

/// <summary>How the results of a module are gathered; times are milliseconds.</summary>
public sealed record BatchConfiguration
{
    public BatchKind Kind { get; init; }

    /// <summary>Length of a window batch.</summary>
    public long LengthMs { get; init; }
    public long LatenessMs { get; init; }
    public long DeadlineMs { get; init; } = 5_000;

    /// <summary>Part of the expected stations, 0.0 to 1.0, whose answers complete the batch; null: all.</summary>
    public double? CompleteAt { get; init; }
    public long RetentionMs { get; init; } = 600_000;
}

/// <summary>One analysis module. Times are milliseconds.</summary>
public sealed record ModuleConfiguration
{
    public required string Name { get; init; }
    public bool Enabled { get; init; } = true;

    /// <summary>Topics in merge order: the declared ones, then the output topics of <see cref="DependsOn"/>.</summary>
    public required IReadOnlyList<string> Topics { get; init; }
    public IReadOnlyList<string> DependsOn { get; init; } = [];

    /// <summary>How many of <see cref="Topics"/> must have data: all of <see cref="RequiredTopics"/>, or any of them.</summary>
    public bool RequiresAny { get; init; }
    public required IReadOnlyList<string> RequiredTopics { get; init; }
    public IncompletePolicy OnIncomplete { get; init; } = IncompletePolicy.Call;
    public long IncompleteDelayMs { get; init; } = 2_000;
    public bool TriggerOnEvent { get; init; } = true;

    /// <summary>Set where the module is also (or only) called at an interval.</summary>
    public long? IntervalMs { get; init; }
    public CoalescePolicy Coalesce { get; init; }
    public long CallTimeoutMs { get; init; } = 30_000;
    public int Retries { get; init; } = 2;

    /// <summary>First pause before a retry; it doubles with each one.</summary>
    public long RetryDelayMs { get; init; } = 200;
    public string Pool { get; init; } = "default";
    public BatchConfiguration Batch { get; init; } = new();
    public required string OutputTopic { get; init; }
    public UploadFormat UploadFormat { get; init; }
}
