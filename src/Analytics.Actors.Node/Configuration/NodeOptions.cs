using System.Globalization;
using System.Text;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Configuration;

/// <summary>
/// Everything that a node is told about itself, valid as a whole. <see cref="NodeConfiguration"/> reads it; each section's
/// class checks its own values, and what concerns several stands here.
/// </summary>
public sealed record NodeOptions
{
    /// <summary>Name of the cluster: prefix of its internal topics and consumer groups.</summary>
    public required string Group { get; init; }

    /// <summary>This node's name in the cluster.</summary>
    public required string NodeId { get; init; }

    /// <summary>Path of the pipeline file.</summary>
    public required string Pipeline { get; init; }
    public required KafkaOptions Kafka { get; init; }

    /// <summary>Number of shards; stored with the first start and never changed afterwards.</summary>
    public int Shards { get; init; } = 16;

    /// <summary>Largest record of a source or internal topic.</summary>
    public int MaxRecordBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>What becomes of a shard whose internal log is not the one that it had read. Stop: it is not run until its position is set.</summary>
    public OutOfRangePolicy InternalOutOfRange { get; init; } = new(OutOfRangeKind.Stop);
    public required StoreOptions Store { get; init; }
    public CheckpointOptions Checkpoint { get; init; } = new();
    public CommitOptions Commit { get; init; } = new();
    public LimitOptions Limits { get; init; } = new();
    public DeadLetterOptions DeadLetters { get; init; } = new();

    /// <summary>Pools of module calls: name to the number of calls that run at once. There is always a pool "default".</summary>
    public required IReadOnlyDictionary<string, int> Pools { get; init; }

    /// <summary>What this node does.</summary>
    public NodeRoles Roles { get; init; } = NodeRoles.All;

    /// <summary>Where other nodes reach this one's API, see <see cref="NodeRoles.AddressOf"/>; null: where it listens.</summary>
    public string? Advertise { get; init; }
    public EndpointOptions Http { get; init; } = new("127.0.0.1", 8000);
    public EndpointOptions Metrics { get; init; } = new("127.0.0.1", 8001);

    /// <summary>Who may ask, and order, what.</summary>
    public AccessOptions Access { get; init; } = AccessOptions.None;
    public LogOptions Log { get; init; } = new();

    /// <summary>How long a stop may take before what still runs is abandoned.</summary>
    public TimeSpan StopDeadline { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The effective configuration, one <c>key: value</c> a line, in which no secret is shown.</summary>
    public string Describe()
    {
        IEnumerable<(string Path, string Value)> lines =
        [
            ("group", Group), ("nodeId", NodeId), ("pipeline", Pipeline),
            .. Kafka.Describe(),
            ("shards", Text(Shards)), ("maxRecordBytes", Text(MaxRecordBytes)),
            ("internalOutOfRange", InternalOutOfRange.Kind.ToString().ToLowerInvariant()),
            .. Store.Describe(), .. Checkpoint.Describe(), .. Commit.Describe(), .. Limits.Describe(), .. DeadLetters.Describe(),
            .. Pools.Select(pool => ($"pools.{pool.Key}", Text(pool.Value))),
            ("roles", string.Join(',', Roles.Names)), ("advertise", Advertise ?? ""),
            .. Http.Describe("http"), .. Metrics.Describe("metrics"), .. Access.Describe(), .. Log.Describe(),
            ("stopDeadlineSeconds", Text(StopDeadline.TotalSeconds)),
        ];
        var text = new StringBuilder();
        foreach (var (path, value) in lines) text.Append(path).Append(": ").Append(Secrets.Show(path, value)).Append('\n');
        return text.ToString();
    }

    /// <param name="directory">Where a relative pipeline path of the file begins.</param>
    internal static NodeOptions Read(ConfigurationObject root, string directory)
    {
        var recordBytesMax = (int)(root.Find("maxRecordBytes")?.Integer(1024 * 1024, 1_000_000_000) ?? 16 * 1024 * 1024);
        var (httpSection, metricsSection) = (root.Section("http"), root.Section("metrics"));
        var http = EndpointOptions.Read(httpSection, 8000);
        var metrics = EndpointOptions.Read(metricsSection, 8001);
        var access = AccessOptions.Read(httpSection, metricsSection, root.Section("cluster"));
        httpSection.Close();
        metricsSection.Close();
        if (http == metrics && http.Port != 0) root.Section("metrics").Forbid("port", true, "must differ from \"http.port\" on the same host");
        var options = new NodeOptions
        {
            Group = ReadName(root.Find("group"), 200) ?? "analytics",
            NodeId = ReadName(root.Find("nodeId"), 100) ?? DefaultNodeId(http.Port),
            Pipeline = ReadPipeline(root.Find("pipeline"), directory),
            Kafka = KafkaOptions.Read(root.Section("kafka")),
            Shards = (int)(root.Find("shards")?.Integer(1, 4_096) ?? 16),
            MaxRecordBytes = recordBytesMax,
            InternalOutOfRange = new(root.Find("internalOutOfRange")?.Choice(
                ("stop", OutOfRangeKind.Stop), ("earliest", OutOfRangeKind.Earliest), ("latest", OutOfRangeKind.Latest)) ?? OutOfRangeKind.Stop),
            Store = StoreOptions.Read(root.Section("store")),
            Checkpoint = CheckpointOptions.Read(root.Section("checkpoint")),
            Commit = CommitOptions.Read(root),
            Limits = LimitOptions.Read(root.Section("limits"), recordBytesMax),
            DeadLetters = DeadLetterOptions.Read(root.Section("deadLetters")),
            Pools = ReadPools(root.Section("pools")),
            Roles = NodeRoles.Read(root.Find("roles")),
            Advertise = NodeRoles.ReadAddress(root.Find("advertise")),
            Http = http,
            Metrics = metrics,
            Access = access,
            Log = LogOptions.Read(root.Section("log")),
            StopDeadline = TimeSpan.FromSeconds(root.Find("stopDeadlineSeconds")?.Number(0.1, 3_600) ?? 30),
        };
        root.Close();
        return options;
    }

    internal static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);

    internal static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);

    // The same after every restart, and different for two nodes on one machine, which cannot share a port.
    private static string DefaultNodeId(int port)
    {
        var machine = new string([.. Environment.MachineName.Select(c => IsNamePart(c) ? c : '-')]);
        return $"{(machine.Length == 0 ? "node" : machine)}-{Text(port)}";
    }

    private static string? ReadName(ConfigurationValue? value, int lengthMax)
    {
        if (value is null) return null;
        if (value.TryString(out var name) && name.Length > 0 && name.Length <= lengthMax && name.All(IsNamePart) && name is not ("." or "..")) return name;
        value.Refuse($"must be 1 to {lengthMax} letters, digits, dots, hyphens and underscores");
        return null;
    }

    private static bool IsNamePart(char c) => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_';

    // A path in the file is relative to the file; one from outside is relative to where it was typed.
    private static string ReadPipeline(ConfigurationValue? value, string directory)
    {
        var path = value?.Text("the path of the pipeline file", lengthMax: 4096) ?? "pipeline.json";
        return value?.Override is null ? Path.Combine(directory, path) : path;
    }

    private static OrderedDictionary<string, int> ReadPools(ConfigurationObject section)
    {
        var pools = new OrderedDictionary<string, int>(StringComparer.Ordinal) { ["default"] = Environment.ProcessorCount };
        foreach (var (name, value) in section.Entries())
        {
            if (value.Integer(1, 10_000) is { } concurrency) pools[name] = (int)concurrency;
        }

        return pools;
    }
}
