using System.Globalization;
using System.Text.Json;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Configuration;

/// <summary>How the node reaches Kafka. What librdkafka understands passes through as it is, under its own names.</summary>
public sealed record KafkaOptions
{
    /// <summary>Brokers to begin with: host:port, joined by commas.</summary>
    public required string BootstrapServers { get; init; }

    /// <summary>Options of every client (TLS, SASL).</summary>
    public IReadOnlyDictionary<string, string> Common { get; init; } = new Dictionary<string, string>();
    public IReadOnlyDictionary<string, string> Consumer { get; init; } = new Dictionary<string, string>();
    public IReadOnlyDictionary<string, string> Producer { get; init; } = new Dictionary<string, string>();

    /// <summary>
    /// Makes the node a static member of its groups under this name, different for each node: where it dies and is back before
    /// its session ends, it finds its shards as they were. Null: every start is a new member.
    /// </summary>
    public string? GroupInstanceId { get; init; }

    internal static KafkaOptions Read(ConfigurationObject section)
    {
        var bootstrapServers = section.Find("bootstrapServers");
        if (bootstrapServers is null) section.Missing("bootstrapServers", $"must be {BrokersForm} (or set KAFKA_BOOTSTRAP_SERVERS)");
        var options = new KafkaOptions
        {
            BootstrapServers = bootstrapServers is null ? "" : ReadBrokers(bootstrapServers),
            Common = ReadOptions(section.Section("common")),
            Consumer = ReadOptions(section.Section("consumer")),
            Producer = ReadOptions(section.Section("producer")),
            GroupInstanceId = section.Find("groupInstanceId")?.Text("a name of this node in its consumer groups"),
        };
        section.Close();
        return options;
    }

    internal IEnumerable<(string Path, string Value)> Describe() =>
    [
        ("kafka.bootstrapServers", BootstrapServers),
        .. GroupInstanceId is { } instance ? [("kafka.groupInstanceId", instance)] : Array.Empty<(string, string)>(),
        .. Common.Select(option => ($"kafka.common.{option.Key}", option.Value)),
        .. Consumer.Select(option => ($"kafka.consumer.{option.Key}", option.Value)),
        .. Producer.Select(option => ($"kafka.producer.{option.Key}", option.Value)),
    ];

    private const string BrokersForm = "brokers as host:port, joined by commas";

    private static string ReadBrokers(ConfigurationValue value)
    {
        if (value.Text(BrokersForm, lengthMax: 4096) is not { } text) return "";
        var brokers = text.Split(',', StringSplitOptions.TrimEntries);
        if (brokers.All(IsBroker)) return string.Join(',', brokers);
        value.Refuse($"must be {BrokersForm}");
        return "";
    }

    private static bool IsBroker(string broker)
    {
        var colon = broker.LastIndexOf(':');
        return colon > 0 && !broker.Any(c => char.IsWhiteSpace(c) || c == '/' || c == '@')
            && ushort.TryParse(broker.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port > 0;
    }

    private static OrderedDictionary<string, string> ReadOptions(ConfigurationObject section)
    {
        var options = new OrderedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, value) in section.Entries())
        {
            var text = value.Kind switch
            {
                JsonValueKind.String => value.TryString(out var content) ? content : null,
                JsonValueKind.Number => value.Element.GetRawText(),
                JsonValueKind.True => "true",
                JsonValueKind.False => "false",
                _ => null,
            };
            if (text is null) value.Refuse("must be text, a number, true or false");
            else if (KafkaOptionRules.Check(name, text) is { } rule) value.Refuse(rule);
            else options[name] = text;
        }

        return options;
    }
}
