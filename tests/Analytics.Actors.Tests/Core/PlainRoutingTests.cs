using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Tests.Pipeline;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>The router takes plain records a short way. What it sends is what the splitter finds, which knows none.</summary>
public class PlainRoutingTests
{
    private const int Shards = 3, ValueMax = 300;

    private static readonly ShardSettings Settings = new()
    {
        Pipeline = PipelineFiles.Valid(SmallPipelines.Build(
            """
            "METERS": { "envelope": ["object", "list"], "window": 3 },
            "STATES": { "envelope": ["items", "object"], "station": ["station_id", "stationId"] },
            "LISTS":  { "envelope": ["list"] },
            "OUTPUT": { "envelope": ["output", "object"] },
            "GLOBAL": { "envelope": ["object"], "scope": "global", "triggers": false },
            "BATCH":  { "envelope": ["object"] }
            """,
            """ "m": { "topics": ["METERS", "STATES"], "batch": "none" }, "gathers": { "topics": ["BATCH"], "batch": { "kind": "record", "deadline": "10s" } } """)),
        Group = CoreNode.Group, ShardCount = Shards, StoreId = "c0decafe0123", RecordBytesMax = 4096 + ValueMax,
    };

    private static readonly string[] Topics = ["METERS", "STATES", "LISTS", "OUTPUT", "GLOBAL", "BATCH"];

    [Fact]
    public void A_record_is_sent_as_the_splitter_takes_it_apart() => Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
    {
        var random = new Random(seed);
        // One router for many records: what one leaves behind must not show in the next.
        var (router, routed, split) = (new RecordRouter(Settings), new RoutedRecord(), new SplitRecord());
        for (var offset = 0; offset < 40; offset++)
        {
            var topic = Settings.Pipeline.Topics[Topics[random.Next(Topics.Length)]];
            var value = PlainSourceTests.Value(random, PlainSourceTests.Stations[random.Next(PlainSourceTests.Stations.Length)]);
            var origin = random.Next(10) == 0 ? "0123456789ab.3.0.7" : null;
            router.Route(new SourceRecord(new TopicPartition(topic.Name, 5), offset, 1_000 + offset, value, origin), 2, routed);
            RecordSplitter.Split(topic, value, split);
            Sent(routed).ShouldBe(Expected(split, topic.Name == "BATCH"), $"{topic.Name} {Encoding.UTF8.GetString(value)}");
            routed.Manifests.Any().ShouldBe(topic.Name == "BATCH" && split.Parts.Any(part => BytesOf(split, part) <= ValueMax));
            foreach (var record in routed.Parts.Records.Span)
            {
                (record.Topic, record.Incarnation, record.Partition, record.Offset, record.TimestampMs, record.Origin, record.Global, record.Rules)
                    .ShouldBe((topic.Name, 2, 5, offset, 1_000 + offset, origin ?? "", split.IsGlobal && split.Parts.Count > 0, Settings.ConfigurationVersion));
            }
        }
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    private static List<string> Sent(RoutedRecord routed)
    {
        List<string> sent = [];
        foreach (var record in routed.Parts.Records.Span)
        {
            foreach (var part in routed.Parts.Parts.Of(record.Parts))
            {
                var what = part.Rejected is { } rejected ? rejected.Code : string.Join('|', routed.Parts.Items.Of(part.Items).ToArray().Select(item => Convert.ToHexString(item.Span)));
                sent.Add($"{(part.Rejected is null ? record.Shard : "-")} {Encoding.UTF8.GetString(part.Station.Span)} {part.Index}.{part.Ordinal} [{string.Join(',', routed.Parts.ItemIndexes.Of(part.ItemIndexes).ToArray())}] {record.Batches.Count} {what}");
            }
        }

        return [.. sent.Order(StringComparer.Ordinal)];
    }

    private static List<string> Expected(SplitRecord split, bool gathers)
    {
        List<string> expected = [.. split.Rejected.Select(rejected => $"-  {rejected.Index}.0 [] 0 {rejected.Reason.Code}")];
        foreach (var part in split.Parts)
        {
            for (var shard = 0; shard < Shards; shard++)
            {
                if (!split.IsGlobal && Murmur2.Partition(part.Station.Span, Shards) != shard) continue;
                expected.Add(BytesOf(split, part) > ValueMax && !split.IsGlobal
                    ? $"-  {part.Index}.0 [] 0 too-large"
                    : $"{shard} {part.StationText} {part.Index}.{part.Ordinal} [{string.Join(',', split.ItemIndexesOf(part).ToArray())}] {(gathers ? 1 : 0)} {string.Join('|', split.ItemsOf(part).ToArray().Select(item => Convert.ToHexString(item.Span)))}");
            }
        }

        return [.. expected.Order(StringComparer.Ordinal)];
    }

    private static long BytesOf(SplitRecord split, StationPart part) => split.ItemsOf(part).ToArray().Sum(item => (long)item.Length);
}
