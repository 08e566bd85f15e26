using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Tests.Demo;

/// <summary>
/// Plays Kafka and a flawless cluster to a ledger: gives records offsets, and makes the marks, uploads and dead letters
/// that must follow, by its own reckoning. Tests then spoil one thing before <see cref="Report"/>.
/// </summary>
internal sealed class FlawlessRun
{
    public const int Shards = 4;
    public const int Partitions = 3;
    private const long StartMs = 1_763_000_000_000;
    private readonly Dictionary<TopicPartition, long> offsets = [];
    private readonly Dictionary<(string, int), long> sequences = [];
    private readonly Dictionary<string, HashSet<string>> hasTopic = [];

    public FlawlessRun(PipelineConfiguration? pipeline = null)
    {
        Pipeline = pipeline ?? DemoPipeline.Create();
        Ledger = new DemoLedger(Pipeline, Shards);
    }

    public PipelineConfiguration Pipeline { get; }
    public DemoLedger Ledger { get; }
    public List<(DemoRecord Record, int Partition, long Offset, long AckMs)> Acknowledgements { get; } = [];
    public Dictionary<WitnessKey, Witness> Marks { get; } = [];
    public List<DeadLetterKey> DeadLetters { get; } = [];
    public List<UploadRecord> Uploads { get; } = [];
    public List<AppliedMark> MarkList => [.. Marks.Select(mark => new AppliedMark(mark.Key.Shard, mark.Key.Topic, mark.Key.Partition, mark.Value.Count, mark.Value.Hash))];

    public static FlawlessRun OfFleet(int stations = 40, int seconds = 20, double rate = 100, PipelineConfiguration? pipeline = null)
    {
        var run = new FlawlessRun(pipeline);
        using var fleet = new StationFleet(new FleetOptions { StartMs = StartMs, Stations = stations, RecordsPerSecond = rate });
        foreach (var record in fleet.Next(StartMs + seconds * 1000)) run.Play(record);
        return run;
    }

    public void Play(DemoRecord record)
    {
        var partition = (int)(Acknowledgements.Count % Partitions);
        ref var offset = ref CollectionsMarshal.GetValueRefOrAddDefault(offsets, new TopicPartition(record.Topic, partition), out _);
        var ackMs = record.TimestampMs + 3;
        Acknowledgements.Add((record, partition, offset, ackMs));
        if (record.Expectation.IsGlobal)
        {
            for (var shard = 0; shard < Shards; shard++) Mark(shard, new Place(offset, 0, 0));
            Has("*", record.Topic);
        }

        foreach (var rejection in record.Expectation.Rejections) DeadLetters.Add(new DeadLetterKey(record.Topic, partition, offset, rejection.Index, rejection.Code));
        foreach (var part in record.Expectation.Parts)
        {
            Mark(Murmur2.Partition(part.Station, Shards), new Place(offset, part.Index, 0));
            Has(part.Station, record.Topic);
        }

        var stations = record.Expectation.Parts.Select(part => part.Station).ToArray();
        if (stations.Length > 0) Upload(record.Topic, $"{record.Topic}:{partition}:{offset}", stations, ackMs);
        offset++;

        void Mark(int shard, Place place)
        {
            ref var witness = ref CollectionsMarshal.GetValueRefOrAddDefault(Marks, new WitnessKey(shard, record.Topic, partition), out _);
            witness = new Witness(witness.Count + 1, witness.Hash ^ place.Hash());
        }
    }

    public void Feed()
    {
        foreach (var (record, partition, offset, ackMs) in Acknowledgements) Ledger.Acknowledged(record, partition, offset, ackMs);
        foreach (var upload in Uploads) Ledger.UploadRead(upload);
        foreach (var letter in DeadLetters) Ledger.DeadLetterRead(letter);
    }

    public DemoReport Report()
    {
        Feed();
        return DemoReport.Of(Ledger.Verdict(MarkList), Ledger.Canary(MarkList), new NodeCounters(10, 9, 8, 0), 20);
    }

    /// <summary>Changes the JSON of one upload.</summary>
    public void Alter(int upload, Action<JsonObject> alter)
    {
        var json = JsonNode.Parse(Uploads[upload].Value.Span)!.AsObject();
        alter(json);
        Uploads[upload] = Uploads[upload] with { Value = Encoding.UTF8.GetBytes(json.ToJsonString()) };
    }

    /// <summary>The first upload of a module with at least so many stations.</summary>
    public int IndexOfUpload(string module, int stations = 1) => Uploads.FindIndex(upload =>
    {
        var json = JsonNode.Parse(upload.Value.Span)!;
        return (string)json["module"]! == module && (json["stations"] ?? json["results"])!.AsArray().Count >= stations;
    });

    private bool Has(string station, string topic) => (CollectionsMarshal.GetValueRefOrAddDefault(hasTopic, station, out _) ??= []).Add(topic);

    private void Upload(string topic, string batchId, string[] stations, long nowMs)
    {
        foreach (var module in Pipeline.Modules.Values.Where(module => module.Enabled && module.Topics.Contains(topic)))
        {
            var ready = stations.Where(station => module.RequiredTopics.All(required =>
                hasTopic.GetValueOrDefault(station)?.Contains(required) == true || hasTopic.GetValueOrDefault("*")?.Contains(required) == true)).ToArray();
            if (ready.Length == 0) continue;
            var shard = Murmur2.Partition(batchId, Shards);
            var partition = shard % Partitions;
            ref var sequence = ref CollectionsMarshal.GetValueRefOrAddDefault(sequences, (module.OutputTopic, shard), out _);
            sequence++;
            var origin = new Origin("5eedfeed0001", new ShardId(shard), partition, sequence).ToString();
            var isLegacy = module.UploadFormat == UploadFormat.Legacy;
            var json = new JsonObject
            {
                ["batch_id"] = batchId,
                ["module"] = module.Name,
                ["timestamp"] = nowMs / 1000.0,
                [isLegacy ? "results" : "stations"] = new JsonArray([.. ready.Select(station => new JsonObject { ["load"] = new JsonArray(1, 2), ["station_id"] = station })]),
                [isLegacy ? "stations_count" : "station_count"] = ready.Length,
                ["expected_count"] = stations.Length,
                ["failed"] = new JsonArray(),
                ["missing"] = new JsonArray(),
                ["revision"] = 1,
            };
            // Orders wait for their second to close.
            var readMs = nowMs + 20 + (topic == ScheduleTopics.CarOrder ? 1_000 : 0);
            Uploads.Add(new UploadRecord(module.OutputTopic, partition, Uploads.Count, origin, Encoding.UTF8.GetBytes(json.ToJsonString()), readMs));
            foreach (var station in ready) Has(station, module.OutputTopic);
            Upload(module.OutputTopic, $"{module.OutputTopic}:{origin}", ready, readMs);
        }
    }
}
