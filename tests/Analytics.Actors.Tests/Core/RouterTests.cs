using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Tests.Pipeline;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>The router alone: packing, one envelope outstanding per destination, and what may be committed.</summary>
public class RouterTests
{
    private static readonly TopicPartition Source = new(Meters, 0);
    private static readonly TopicPartition Other = new(Meters, 1);
    private readonly List<RouterEffect> effects = [];

    [Fact]
    public void A_station_has_one_shard_whatever_topic_it_comes_by()
    {
        var rules = new RecordRouter(Settings(16, With(""" "m": { "topics": ["METERS", "PARAMS", "ORDERS"] } """)));
        var routed = new RoutedRecord();
        foreach (var station in new[] { "S1", "123456789012345678", "站点七" })
        {
            int ShardOf(SourceRecord record)
            {
                rules.Route(record, 0, routed);
                routed.Parts.Records.Count.ShouldBe(1);
                return routed.Parts.Records[0].Shard;
            }

            int[] shards =
            [
                ShardOf(new SourceRecord(Source, 0, 0, Bytes($$"""[{"stationId":"{{station}}"}]"""), null)),
                ShardOf(new SourceRecord(new TopicPartition(Params, 7), 9, 0, Bytes($$"""[{"station_id":"{{station}}"}]"""), null)),
                ShardOf(new SourceRecord(new TopicPartition(Orders, 3), 5, 0, Bytes($$"""{"stationId":"{{station}}"}"""), null)),
            ];
            shards.Distinct().ShouldBe([Murmur2.Partition(station, 16)]);
        }
    }

    [Fact]
    public void One_envelope_is_outstanding_and_what_arrives_meanwhile_is_packed_into_the_next()
    {
        var router = Begin(Settings(1));
        Receive(router, 0, Values(1, "S1"));
        var (manifest, parts) = (Sent("core.batch-results"), Sent("core.station-events"));
        Parts(parts).Records.Single().Offset.ShouldBe(0);
        Receive(router, 1, Values(2, "S1"));
        Receive(router, 2, Values(3, "S2"));
        Sent().ShouldBeEmpty();
        router.Acknowledged(parts.Destination, parts.Number, effects);
        var next = Sent("core.station-events");
        Parts(next).Records.Select(record => (record.Offset, record.PreviousOffset)).ShouldBe([(1, 0), (2, 1)]);
        next.Number.ShouldNotBe(parts.Number);
        router.Acknowledged(manifest.Destination, manifest.Number, effects);
        BatchEnvelope.Parser.ParseFrom(Sent("core.batch-results").Value.Span).Manifests.Select(announced => announced.BatchId).ShouldBe(["METERS:0:1", "METERS:0:2"]);
    }

    [Fact]
    public void A_failed_envelope_goes_again_and_never_the_next()
    {
        var router = Begin(Settings(1, OneModule("\"batch\": \"none\"")));
        Receive(router, 0, Values(1, "S1"));
        var first = Sent("core.station-events");
        Receive(router, 1, Values(2, "S1"));
        router.Failed(first.Destination, first.Number, effects);
        var again = Sent("core.station-events");
        again.Number.ShouldBe(first.Number);
        again.Value.ToArray().ShouldBe(first.Value.ToArray());
        router.Acknowledged(first.Destination, first.Number + 5, effects);
        Sent().ShouldBeEmpty();
        router.Acknowledged(first.Destination, first.Number, effects);
        var second = Sent("core.station-events");
        router.Acknowledged(first.Destination, first.Number, effects);
        Sent().ShouldBeEmpty();
        router.IsIdle.ShouldBeFalse("a late echo of the first says nothing of the second");
        router.Acknowledged(second.Destination, second.Number, effects);
        router.IsIdle.ShouldBeTrue();
    }

    [Fact]
    public void Only_the_prefix_that_is_wholly_acknowledged_may_be_committed()
    {
        var router = Begin(Settings(16, OneModule("\"batch\": \"none\"")), 100);
        // Stations of different shards: their acknowledgements come in any order.
        Receive(router, 100, Values(1, "S1"));
        Receive(router, 101, Values(1, "S2"));
        Receive(router, 102, Values(1, "S1", "S2", "S3"));
        Receive(router, 105, "[]");
        var sends = Sent().ToList();
        sends.Count.ShouldBe(3);
        Acknowledge(router, sends.Single(send => Has(send, "S2")));
        router.Committable.ShouldBe([(Source, 100)]);
        Acknowledge(router, sends.Single(send => Has(send, "S1")));
        router.Committable.ShouldBe([(Source, 102)]);
        foreach (var send in Sent().ToList()) Acknowledge(router, send);
        router.Committable.ShouldBe([(Source, 102)]);
        Acknowledge(router, sends.Single(send => Has(send, "S3")));
        router.Committable.ShouldBe([(Source, 106)], "also what had nothing to send, and what the log left out");
    }

    [Fact]
    public void A_clock_that_is_set_back_does_not_stop_commits()
    {
        var router = Begin(Settings(1, OneModule("\"batch\": \"none\"")), 0, new RouterSettings { CommitIntervalMs = 5_000 });
        AcknowledgeAll(router, 0);
        router.CommitFinished(Commit(router, 3_600_000).ShouldNotBeNull().Positions, true);
        AcknowledgeAll(router, 1);
        Commit(router, 1_000).ShouldBeNull();
        Commit(router, 6_000).ShouldNotBeNull();
    }

    [Fact]
    public void Commits_wait_for_the_interval_or_the_count_and_only_one_is_in_flight()
    {
        var settings = new RouterSettings { CommitIntervalMs = 5_000, CommitBatchSize = 3, CommitSpacingMs = 100, MaxCommitRetries = 2, CommitRetryDelayMs = 1_000 };
        var router = Begin(Settings(1, OneModule("\"batch\": \"none\"")), 0, settings);
        router.NextDueMs.ShouldBeNull();
        AcknowledgeAll(router, 0);
        router.NextDueMs.ShouldBe(5_000);
        Commit(router, 4_999).ShouldBeNull();
        var first = Commit(router, 5_000).ShouldNotBeNull();
        first.Positions.ShouldBe([(Source, 1)]);
        for (var offset = 1; offset < 4; offset++) AcknowledgeAll(router, offset);
        Commit(router, 20_000).ShouldBeNull("one is in flight");
        router.CommitFinished(first.Positions, true);
        router.NextDueMs.ShouldBe(5_100, "three records: at once, but at most ten times a second");
        var second = Commit(router, 5_100).ShouldNotBeNull();
        second.Positions.ShouldBe([(Source, 4)]);
        router.CommitFinished(second.Positions, false);
        router.NextDueMs.ShouldBe(6_100, "a failed one is tried again after its pause");
        var third = Commit(router, 6_100).ShouldNotBeNull();
        router.CommitFinished(third.Positions, true);
        router.NextDueMs.ShouldBeNull();
        AcknowledgeAll(router, 4);
        Commit(router, 6_150).ShouldBeNull();
        router.TimePassed(6_150, true, effects);
        effects.OfType<CommitPositions>().ShouldHaveSingleItem("at stop whatever is acknowledged").Positions.ShouldBe([(Source, 5)]);
    }

    [Fact]
    public void Committed_positions_go_to_the_store_with_the_record_before_them_once_a_second_and_only_when_they_changed()
    {
        var router = Begin(Settings(1, OneModule("\"batch\": \"none\"")), 0, new RouterSettings { CommitBatchSize = 1, CommitSpacingMs = 100 });
        AcknowledgeAll(router, 0);
        var commit = Commit(router, 2_000).ShouldNotBeNull();
        effects.OfType<StorePositions>().ShouldBeEmpty("not committed yet");
        // What is acknowledged while the commit is under way is not committed by it.
        AcknowledgeAll(router, 1);
        router.CommitFinished(commit.Positions, true);
        Stored(router, 2_050).ShouldBe([new PartitionPosition(Source, 1, CoreNode.StartMs, Checksum.Of(Bytes(Values(1, "S1"))))]);

        router.CommitFinished(Commit(router, 2_100).ShouldNotBeNull().Positions, true);
        Stored(router, 2_200).ShouldBeEmpty("a second has not passed");
        Stored(router, 3_050).Single().Next.ShouldBe(2);
        Stored(router, 9_000).ShouldBeEmpty("nothing has changed");

        AcknowledgeAll(router, 2);
        router.CommitFinished(Commit(router, 9_500).ShouldNotBeNull().Positions, true);
        router.Revoked(Source);
        Stored(router, 20_000).ShouldBeEmpty("it is another router's");
    }

    [Fact]
    public void What_a_revoked_partition_still_waits_to_send_is_forgotten()
    {
        var router = Begin(Settings(1, OneModule("\"batch\": \"none\"")));
        router.Assigned(Other, 0, 0, SourceGrant.Everything(Other, 0, 0));
        Receive(router, 0, Values(1, "S1"));
        Receive(router, 1, Values(2, "S1"));
        Receive(router, 0, Values(3, "S2"), Other);
        var first = Sent("core.station-events");
        router.Revoked(Source);
        router.Committable.ShouldBe([(Other, 0)]);
        Receive(router, 2, Values(9, "S1"));
        router.Acknowledged(first.Destination, first.Number, effects);
        var next = Sent("core.station-events");
        Parts(next).Records.Select(record => (record.Partition, record.Offset)).ShouldBe([(1, 0)]);
        Acknowledge(router, next);
        router.IsIdle.ShouldBeTrue();
        router.Committable.ShouldBe([(Other, 1)]);
        // It comes back at its committed position: everything is sent again, and the marks recognise it.
        router.Assigned(Source, 0, 0, SourceGrant.Everything(Source, 0, 0));
        Receive(router, 0, Values(1, "S1"));
        Parts(Sent("core.station-events")).Records.Single().PreviousOffset.ShouldBe(-1);
    }

    [Fact]
    public void A_record_that_was_read_twice_is_routed_once()
    {
        var router = Begin(Settings(1), 5);
        Receive(router, 4, Values(1, "S1"));
        effects.ShouldBeEmpty();
        Receive(router, 5, Values(1, "S1"));
        Sent().Count().ShouldBe(2);
        Receive(router, 5, Values(1, "S1"));
        Sent().ShouldBeEmpty();
        router.RoutedByTopic[Meters].ShouldBe(1);
    }

    [Fact]
    public void Envelopes_stay_below_their_limit()
    {
        const int limit = 2_000;
        var router = Begin(Settings(1) with { EnvelopeBytesMax = limit });
        Receive(router, 0, Values(0, "S0"));
        var open = Sent().ToList();
        for (var offset = 1; offset < 60; offset++) Receive(router, offset, Values(offset, $"S{offset}", $"T{offset}", $"U{offset}"));
        var offsets = Drain(router, open, limit);
        offsets.ShouldBe(Enumerable.Range(0, 60).Select(offset => (long)offset).SelectMany(offset => offset == 0 ? [offset] : new[] { offset, offset, offset }));
        router.Committable.ShouldBe([(Source, 60)]);
    }

    [Fact]
    public void One_record_with_more_parts_than_an_envelope_holds_goes_out_in_several()
    {
        const int limit = 2_000;
        var router = Begin(Settings(1) with { EnvelopeBytesMax = limit });
        Receive(router, 0, Values(1, "S0"));
        var stations = Enumerable.Range(0, 500).Select(number => $"S{number}").ToArray();
        var open = Sent().ToList();
        Receive(router, 1, Values(7, stations));
        Drain(router, open, limit).Count.ShouldBe(501);
        router.Committable.ShouldBe([(Source, 2)]);

        // And the shard that reads them applies each part once, misses nothing, and completes the batch.
        var node = new CoreNode(OneModule(), new CoreNodeOptions { Adjust = settings => settings with { EnvelopeBytesMax = limit } });
        node.Produce(Meters, Values(7, stations));
        node.Log(CoreNode.Group + ".station-events").Count.ShouldBeGreaterThan(10);
        ((int)node.Upload("m")["station_count"]!).ShouldBe(500);
        node.Shard.MissingRecords.ShouldBe(0);
        node.Shard.RepeatedParts.ShouldBe(0);
    }

    [Fact]
    public void A_part_larger_than_an_envelope_travels_alone()
    {
        const int limit = 2_000;
        var router = Begin(Settings(1, OneModule("\"batch\": \"none\"")) with { EnvelopeBytesMax = limit });
        Receive(router, 0, Values(0, "S0"));
        var open = Sent("core.station-events");
        Receive(router, 1, Values(1, "S1"));
        Receive(router, 2, $$"""[{"stationId":"S2"},{"stationId":"S3","value":"{{new string('x', 3_000)}}"},{"stationId":"S4"}]""");
        List<PartsEnvelope> envelopes = [];
        for (SendEnvelope? send = open; send is not null; send = Sent().SingleOrDefault())
        {
            envelopes.Add(Parts(send));
            Acknowledge(router, send);
        }

        envelopes.Select(envelope => string.Join(' ', envelope.Records.SelectMany(record => record.Parts).Select(part => part.Station)))
            .ShouldBe(["S0", "S1 S2", "S3", "S4"]);
        router.Committable.ShouldBe([(Source, 3)]);
    }

    [Fact]
    public void A_part_that_no_record_holds_is_rejected_and_not_expected()
    {
        var node = new CoreNode(OneModule(), new CoreNodeOptions { Shards = 4, Adjust = settings => settings with { RecordBytesMax = 10_000, EnvelopeBytesMax = 2_000 } });
        node.Produce(Meters, $$"""[{"stationId":"S1","value":1},{"stationId":"S2","value":"{{new string('x', 9_000)}}"},{"stationId":"S3","value":3}]""");
        var upload = node.Upload("m");
        BatchTests.Stations(upload).ShouldBe(["S1", "S3"]);
        ((int)upload["expected_count"]!).ShouldBe(2);
        var letter = node.DeadLetters.ShouldHaveSingleItem();
        ((string)letter["reason"]!).ShouldBe("too-large");
        ((int)letter["index"]!).ShouldBe(1);
    }

    [Fact]
    public void Every_rejection_has_one_shard_and_is_counted()
    {
        var settings = Settings(16);
        var router = Begin(settings);
        Receive(router, 0, """[{"stationId":0},{"value":1},5]""");
        Receive(router, 1, "not json");
        var fixedShard = Murmur2.Partition("METERS:0", 16);
        var sends = new List<SendEnvelope>();
        for (var found = Sent().ToList(); found.Count > 0; found = Sent().ToList())
        {
            sends.AddRange(found);
            foreach (var send in found) Acknowledge(router, send);
        }

        sends.ShouldAllBe(send => send.Destination == new TopicPartition(settings.PartsTopic, fixedShard));
        sends.SelectMany(send => Parts(send).Records).SelectMany(record => record.Parts).Select(part => (part.Index, part.Rejected.Code))
            .ShouldBe([(0, "invalid-id"), (1, "no-id"), (2, "item-not-object"), (0, "not-json")]);
        router.RejectedByReason.Values.Sum().ShouldBe(4);
        router.Committable.ShouldBe([(Source, 2)]);
    }

    [Fact]
    public void A_missing_record_is_counted_and_reported_and_the_work_goes_on()
    {
        var node = new CoreNode(OneModule("\"batch\": \"none\""));
        var lost = new PartsEnvelope
        {
            Records = { new RecordParts { Topic = Meters, Partition = 9, Offset = 12, PreviousOffset = 11, TimestampMs = CoreNode.StartMs, Parts = { new Part { Station = "S1", Items = { Google.Protobuf.ByteString.CopyFromUtf8("""{"value":1}""") } } } } },
        };
        node.Append(new TopicPartition(CoreNode.Group + ".station-events", 0), null, Google.Protobuf.MessageExtensions.ToByteArray(lost), null, node.NowMs);
        node.Run();
        node.Calls.Count.ShouldBe(1);
        node.Shard.MissingRecords.ShouldBe(1);
        node.Events.OfType<RecordMissing>().ShouldHaveSingleItem().Offset.ShouldBe(11);
        node.Restart();
        node.Shard.MissingRecords.ShouldBe(1);
    }

    private static ShardSettings Settings(int shards, string? pipeline = null) =>
        new() { Pipeline = PipelineFiles.Valid(pipeline ?? OneModule()), Group = CoreNode.Group, ShardCount = shards, StoreId = "c0decafe0123" };

    private Router Begin(ShardSettings settings, long next = 0, RouterSettings? routerSettings = null)
    {
        var router = new Router(settings, routerSettings ?? new RouterSettings());
        router.Assigned(Source, 0, next, SourceGrant.Everything(Source, 0, 0));
        return router;
    }

    private void Receive(Router router, long offset, string value, TopicPartition? partition = null)
    {
        router.Receive(new SourceRecord(partition ?? Source, offset, CoreNode.StartMs, Bytes(value), null));
        router.Flush(effects);
    }

    private void Acknowledge(Router router, SendEnvelope send) => router.Acknowledged(send.Destination, send.Number, effects);

    private void AcknowledgeAll(Router router, long offset)
    {
        Receive(router, offset, Values(1, "S1"));
        foreach (var send in Sent().ToList()) Acknowledge(router, send);
    }

    private CommitPositions? Commit(Router router, long nowMs)
    {
        effects.Clear();
        router.TimePassed(nowMs, false, effects);
        return effects.OfType<CommitPositions>().SingleOrDefault();
    }

    private IReadOnlyList<PartitionPosition> Stored(Router router, long nowMs)
    {
        effects.Clear();
        router.TimePassed(nowMs, false, effects);
        return effects.OfType<StorePositions>().SingleOrDefault()?.Positions ?? [];
    }

    // Acknowledges everything as it comes; the offsets of all parts in the order of their arrival.
    private List<long> Drain(Router router, List<SendEnvelope> open, int limit)
    {
        List<long> offsets = [];
        for (var round = open; round.Count > 0; round = Sent().ToList())
        {
            foreach (var send in round)
            {
                if (send.Destination.Topic.EndsWith("station-events", StringComparison.Ordinal))
                {
                    send.Value.Length.ShouldBeLessThanOrEqualTo(limit);
                    offsets.AddRange(Parts(send).Records.SelectMany(record => record.Parts.Select(_ => record.Offset)));
                }

                Acknowledge(router, send);
            }
        }

        return offsets;
    }

    // With copies of the bytes, as a log takes them: the router uses its buffers again.
    private IEnumerable<SendEnvelope> Sent()
    {
        var sent = effects.OfType<SendEnvelope>().Select(send => send with { Value = send.Value.ToArray() }).ToList();
        effects.RemoveAll(effect => effect is SendEnvelope);
        return sent;
    }

    private SendEnvelope Sent(string topic)
    {
        var found = effects.OfType<SendEnvelope>().Single(send => send.Destination.Topic == topic);
        effects.Remove(found);
        return found with { Value = found.Value.ToArray() };
    }

    private static bool Has(SendEnvelope send, string station) => Parts(send).Records.SelectMany(record => record.Parts).Any(part => part.Station == station);

    private static PartsEnvelope Parts(SendEnvelope send) => PartsEnvelope.Parser.ParseFrom(send.Value.Span);

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);
}
