using System.Text.Json;
using System.Text.Json.Nodes;

namespace Analytics.Actors.Node.Import;

/// <summary>What a Python configuration became.</summary>
/// <param name="Node">The node's configuration.</param>
/// <param name="Pipeline">The shipped pipeline with what the configuration changes.</param>
/// <param name="Keys">Every key of it, in the order in which they were looked at.</param>
public sealed record ImportResult(JsonObject Node, JsonObject Pipeline, IReadOnlyList<ImportedKey> Keys);

/// <summary>
/// Makes a node's configuration and a pipeline of the Python library's configuration, and says of each of its keys what
/// became of it. Secrets are neither taken over nor told.
/// </summary>
public sealed class PythonImport
{
    private static readonly string[] Sections = ["consumer", "producer", "listener"];

    private readonly JsonObject pipeline;
    private readonly JsonObject node = [];
    private readonly JsonObject kafka = [];
    private readonly List<ImportedKey> keys = [];
    private readonly Dictionary<string, JsonObject> options = new(StringComparer.Ordinal) { ["common"] = [], ["consumer"] = [], ["producer"] = [] };
    private readonly Dictionary<string, List<string>> readers = new(StringComparer.Ordinal);
    private string? group;
    private string? reset;

    private PythonImport(JsonObject defaults) => pipeline = (JsonObject)defaults.DeepClone();

    private JsonObject Topics => (JsonObject)pipeline["topics"]!;
    private JsonObject Modules => (JsonObject)pipeline["modules"]!;

    /// <param name="source">The configuration as a tree.</param>
    /// <param name="defaults">The shipped pipeline.</param>
    public static ImportResult Run(JsonObject source, JsonObject defaults)
    {
        var import = new PythonImport(defaults);
        foreach (var (name, value) in source) import.Section(name, value);
        import.Finish();
        return new ImportResult(import.node, import.pipeline, import.keys);
    }

    private void Section(string name, JsonNode? value)
    {
        switch (name.ToLowerInvariant())
        {
            case "kafka_config" or "kafka": Each(name, value, (key, path, inner) => Kafka(key, path, inner, null)); break;
            case "offset_commit_config" or "offset_commit": Each(name, value, OffsetCommit); break;
            case "topic_detail" or "topic_details": Each(name, value, Topic); break;
            case "module_dependencies": Each(name, value, Dependencies); break;
            case "module_output_topics": Each(name, value, Output); break;
            case "module_output": Each(name, value, ModuleOutput); break;
            case "module_output_topic_prefix": Prefix(name, value); break;
            case "data_expire_seconds": Expire(name, value); break;
            case "multi_consumer_mode": NotNeeded(name, "one router reads all topics"); break;
            case "module_name": NotNeeded(name, "a node runs every enabled module of the pipeline"); break;
            case "logging" or "log" or "logging_config": Each(name, value, Logging); break;
            default: Refuse(name, "no key of the Python library that is known here"); break;
        }
    }

    private void Each(string name, JsonNode? value, Action<string, string, JsonNode?> take)
    {
        if (value is not JsonObject members) Refuse(name, "must be a mapping");
        else foreach (var (key, inner) in members) take(key, $"{name}.{key}", inner);
    }

    private void Kafka(string key, string path, JsonNode? value, string? section)
    {
        if (section is null && Sections.Contains(key))
        {
            Each(path, value, (inner, innerPath, innerValue) => Kafka(inner, innerPath, innerValue, key));
            return;
        }

        var text = Text(value);
        switch (key)
        {
            case "bootstrap_servers":
                var servers = value is JsonArray list ? string.Join(',', list.Select(Text)) : text;
                if (kafka["bootstrapServers"] is { } known && known.GetValue<string>() != servers) Refuse(path, $"all clients have the same brokers here, and kafka.bootstrapServers is {known} already");
                else Take(path, "node: kafka.bootstrapServers", () => kafka["bootstrapServers"] = servers);
                break;
            case "group_id":
                group = text;
                Take(path, $"pipeline: \"start\": \"group:{text}\" of every source topic, so that reading goes on where the old group stopped; the new group is \"{NewGroup}\"", () => { });
                break;
            case "auto_offset_reset":
                reset = text;
                if (text is "latest" or "earliest") Take(path, "pipeline: \"start\" of every source topic where no group_id is given; else the group's offsets count", () => { });
                else Refuse(path, $"\"{text}\" is no place to start from");
                break;
            case "enable_auto_commit" when text == "true": Refuse(path, "positions are committed after the work that they stand for, never by a timer"); break;
            case "enable_auto_commit" or "auto_commit_interval_ms": NotNeeded(path, "positions are committed after the work that they stand for"); break;
            case "acks" when text is "all" or "-1": NotNeeded(path, "it is always all"); break;
            case "acks": Refuse(path, "it is always all: a record that fewer replicas hold can vanish"); break;
            case "retries" or "max_in_flight_requests_per_connection" or "enable_idempotence" or "delivery_timeout_ms":
                NotNeeded(path, "one message is outstanding per destination, and is sent again until it is acknowledged"); break;
            case "max_partition_fetch_bytes": NotNeeded(path, "little is fetched of a partition at once, so that no topic waits behind another one's backlog"); break;
            case "max_poll_records" or "fetch_max_bytes": NotNeeded(path, "memory is bounded by limits and maxRecordBytes"); break;
            case "multi_consumer_mode": NotNeeded(path, "one router reads all topics"); break;
            case "consumer_timeout_ms" or "api_version" or "api_version_auto_timeout_ms": NotNeeded(path, "the client finds out by itself"); break;
            case "key_deserializer" or "value_deserializer" or "key_serializer" or "value_serializer": NotNeeded(path, "records are JSON"); break;
            case "partition_assignment_strategy": NotNeeded(path, "it is always cooperative-sticky"); break;
            case "client_id": Take(path, "node: kafka.common \"client.id\"", () => options["common"]["client.id"] = text); break;
            case "sasl_plain_password" or "ssl_password" or "sasl_password":
                Refuse(path, $"a secret: set it in the environment, ANALYTICS__Kafka__Common__{(key == "ssl_password" ? "ssl_key_password" : "sasl_password")}"); break;
            default:
                if (section == "listener") NotNeeded(path, "a setting of a Spring listener: the router reads batches, and commits by itself");
                else if (KafkaNames.Of(key, section) is not var (name, where)) Refuse(path, "no option of kafka-python that is known here; options of librdkafka go under kafka.common, kafka.consumer, kafka.producer");
                else if (Configuration.KafkaOptionRules.Check(name, text) is { } rule) Refuse(path, $"{name} {rule}");
                else Take(path, $"node: kafka.{where} \"{name}\"", () => options[where][name] = text);
                break;
        }
    }

    private string NewGroup => $"{group}-actors";

    private void OffsetCommit(string key, string path, JsonNode? value)
    {
        var name = key switch
        {
            "commit_interval_seconds" => "commitIntervalSeconds",
            "commit_batch_size" => "commitBatchSize",
            "max_commit_retries" => "maxCommitRetries",
            "commit_retry_delay" => "commitRetryDelaySeconds",
            _ => null,
        };
        if (name is null) Refuse(path, "no key of the Python library that is known here");
        else Take(path, $"node: {name}", () => node[name] = value?.DeepClone());
    }

    private void Topic(string name, string path, JsonNode? value)
    {
        var isNew = Topics[name] is null;
        var topic = Topics[name] as JsonObject ?? [];
        if (isNew)
        {
            Topics[name] = topic;
            Take(path, $"pipeline: a new topic; what its records look like (envelope, mode, shape) is the default's: look it through", () => { });
        }

        var shape = topic["shape"] is JsonObject shaped ? shaped["kind"]?.GetValue<string>() : topic["shape"]?.GetValue<string>() ?? "fields";
        Each(path, value, (key, inner, content) =>
        {
            switch (key)
            {
                case "fields" when shape != "fields": NotNeeded(inner, $"the shape \"{shape}\" of this topic says which members the input has"); break;
                case "fields" when content is JsonArray fields: Take(inner, $"pipeline: topics.{name}.fields", () => topic["fields"] = Fields(topic["fields"] as JsonArray, fields)); break;
                case "window_size" when topic["mode"]?.GetValue<string>() == "device": NotNeeded(inner, "the latest item of each device is kept"); break;
                case "window_size": Take(inner, $"pipeline: topics.{name}.window", () => topic["window"] = content?.DeepClone()); break;
                case "frequency": NotNeeded(inner, "a remark: records count when they come"); break;
                case "modules" when content is JsonArray modules:
                    foreach (var module in modules.Select(Text))
                    {
                        if (!readers.TryGetValue(module, out var read)) readers.Add(module, read = []);
                        read.Add(name);
                    }

                    Take(inner, $"pipeline: topics of {string.Join(", ", modules.Select(module => $"modules.{Text(module)}"))}", () => { });
                    break;
                default: Refuse(inner, "no key of the Python library that is known here"); break;
            }
        });
    }

    // What the shipped pipeline says of a field of that name (its type, where it comes from) stays.
    private static JsonArray Fields(JsonArray? known, JsonArray names) => new([.. names.Select(name =>
        (known?.FirstOrDefault(field => field is JsonObject from && (from["as"] ?? from["from"])?.GetValue<string>() == Text(name)) ?? name)?.DeepClone())]);

    private void Dependencies(string module, string path, JsonNode? value)
    {
        if (value is not JsonArray names) Refuse(path, "must be a list of modules");
        else Take(path, $"pipeline: modules.{module}.dependsOn", () => Module(module)["dependsOn"] = names.DeepClone());
    }

    private void Output(string module, string path, JsonNode? value) =>
        Take(path, $"pipeline: modules.{module}.output, as it is written", () => Module(module)["output"] = Text(value));

    private void ModuleOutput(string key, string path, JsonNode? value)
    {
        if (key == "topics") Each(path, value, Output);
        else if (key == "topic_prefix") Prefix(path, value);
        else if (key == "window_size" && Text(value) == "1") NotNeeded(path, "it is the default of output topics");
        else if (key == "window_size") Refuse(path, "is a topic's own: write \"window\" under topics, for the output topic's name");
        else Refuse(path, "no key of the Python library that is known here");
    }

    private void Prefix(string path, JsonNode? value)
    {
        if (Text(value) == "MODULE-OUTPUT-") NotNeeded(path, "it is the default: MODULE-OUTPUT- and the module's name in capitals");
        else Refuse(path, "a module's \"output\" has the whole name of its topic; write it where the default MODULE-OUTPUT-NAME is not right");
    }

    private void Expire(string path, JsonNode? value)
    {
        var ttl = $"{Text(value)}s";
        var fresh = Topics.Where(topic => topic.Value is JsonObject own && own["ttl"] is null && readers.Values.Any(read => read.Contains(topic.Key)) && IsAdded(own)).ToList();
        if (fresh.Count == 0) NotNeeded(path, "each topic of the pipeline has a ttl of its own, or none where its data is sent once a month");
        else Take(path, $"pipeline: ttl of {string.Join(", ", fresh.Select(topic => topic.Key))}; the others have their own", () => fresh.ForEach(topic => topic.Value!["ttl"] = ttl));
    }

    // Topics of the shipped pipeline have an envelope.
    private static bool IsAdded(JsonObject topic) => topic["envelope"] is null;

    private void Logging(string key, string path, JsonNode? value)
    {
        var log = node["log"] as JsonObject ?? [];
        node["log"] = log;
        switch (key)
        {
            case "log_file": Take(path, "node: log.file", () => log["file"] = Text(value)); break;
            case "max_bytes": Take(path, "node: log.fileBytesMax", () => log["fileBytesMax"] = value?.DeepClone()); break;
            case "backup_count" when value is JsonValue count && count.TryGetValue<long>(out var kept):
                Take(path, "node: log.filesKept, which counts the current file too", () => log["filesKept"] = kept + 1); break;
            case "level" or "log_level": Take(path, "node: log.level", () => log["level"] = Text(value)); break;
            default: Refuse(path, "no key of the Python library that is known here"); break;
        }
    }

    private void Finish()
    {
        foreach (var (name, topics) in readers)
        {
            var module = Module(name);
            // The merge order of the shipped pipeline stays, where it knows the topics.
            var order = (module["topics"] as JsonArray)?.Select(Text).ToList() ?? [];
            module["topics"] = new JsonArray([.. topics.Distinct().OrderBy(topic => order.IndexOf(topic) is var at && at < 0 ? int.MaxValue : at).Select(topic => (JsonNode)topic)]);
            if (module["requires"] is JsonArray required)
            {
                var left = required.Select(Text).Where(topics.Contains).ToList();
                if (left.Count == 0) module.Remove("requires");
                else module["requires"] = new JsonArray([.. left.Select(topic => (JsonNode)topic)]);
            }
        }

        var start = group is not null ? $"group:{group}" : reset;
        if (start is not null)
        {
            foreach (var (_, topic) in Topics) topic!["start"] = start;
        }

        node["group"] = group is null ? "analytics" : NewGroup;
        foreach (var (name, section) in options.Where(option => option.Value.Count > 0)) kafka[name] = section;
        node["kafka"] = kafka;
        node["store"] = new JsonObject { ["path"] = $"{node["group"]!.GetValue<string>()}.db" };
    }

    // A module that only the old configuration knows has no code here yet.
    private JsonObject Module(string name)
    {
        if (Modules[name] is JsonObject known) return known;
        var added = new JsonObject { ["enabled"] = false };
        Modules[name] = added;
        return added;
    }

    private void Take(string key, string to, Action take)
    {
        take();
        keys.Add(new ImportedKey(key, KeyFate.Taken, to));
    }

    private void NotNeeded(string key, string why) => keys.Add(new ImportedKey(key, KeyFate.NotNeeded, why));

    private void Refuse(string key, string why) => keys.Add(new ImportedKey(key, KeyFate.Refused, why));

    private static string Text(JsonNode? value) => value is null ? ""
        : value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : value.ToJsonString();
}
