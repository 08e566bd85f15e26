using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>Invariant 3: which rules route a record is a function of its offset, whoever routes it.</summary>
public class GrantTests
{
    private const long StartMs = CoreNode.StartMs;
    private static readonly TopicPartition Source = new("METERS", 0), Other = new("METERS", 1);
    private readonly List<RouterEffect> effects = [];
    private readonly Router router = new(Version(1, "stationId"), new RouterSettings { TopicWaitingBytesMax = 100_000 });

    [Fact]
    public void Nothing_is_routed_before_it_is_granted()
    {
        Begin(Source, 5);
        Raised().ShouldBe("METERS[0]#0 up to 5, known 1");
        Receive(Source, 5, 6);
        Sent().ShouldBeEmpty();
        router.IsIdle.ShouldBeFalse();
        router.Waiting.ShouldBe([(Source, null)]);
        Grant(Source, 5, (1, 0));
        Sent().ShouldBeEmpty();
        Raised().ShouldBe("METERS[0]#0 up to 7, known 1");
        Grant(Source, 7, (1, 0));
        Sent().ShouldBe([(5, 1), (6, 1)]);
        router.Waiting.ShouldBeEmpty();
    }

    [Fact]
    public void Each_record_is_routed_by_the_version_of_its_offset()
    {
        router.Learn(Version(2, "otherId"), effects);
        Begin(Source, 0);
        Grant(Source, 100, (1, 0), (2, 3));
        Receive(Source, 0, 1, 2, 3, 4);
        Sent().ShouldBe([(0, 1), (1, 1), (2, 1), (3, 2), (4, 2)]);
        // One that begins again routes them so again, also one that knew the newer rules from the first.
        var again = new Router(Version(2, "otherId"), new RouterSettings());
        again.Learn(Version(1, "stationId"), effects);
        again.Assigned(Source, 0, 2, new SourceGrant(Source, 0, 100, [new RulesFrom(1, 0), new RulesFrom(2, 3)]));
        effects.Clear();
        for (var offset = 2; offset < 5; offset++) again.Receive(Record(Source, offset));
        again.Flush(effects);
        Sent().ShouldBe([(2, 1), (3, 2), (4, 2)]);
    }

    [Fact]
    public void Rules_that_are_not_known_here_are_ordered_and_waited_for()
    {
        Begin(Source, 0);
        Grant(Source, 3, (1, 0), (2, 2), (4, 2));
        effects.OfType<ReadRules>().Select(read => read.Version).ShouldBe([4], "no offset is of version 2");
        Receive(Source, 0, 1, 2, 3);
        Sent().ShouldBe([(0, 1), (1, 1)]);
        router.Waiting.ShouldBe([(Source, 4)]);
        Raised().ShouldBeEmpty("it could not process what it were granted");
        router.Learn(Version(4, "otherId"), effects);
        router.Flush(effects);
        Sent().ShouldBe([(2, 4)]);
        Raised().ShouldBe("METERS[0]#0 up to 4, known 4");
    }

    [Fact]
    public void The_store_is_not_asked_again_and_again_for_what_waits_for_rules_alone()
    {
        router.Learn(Version(3, "otherId"), effects);
        Begin(Source, 0);
        Receive(Source, 0);
        Grant(Source, 10, (2, 0), (3, 10));
        effects.OfType<ReadRules>().Select(read => read.Version).ShouldBe([2]);
        router.Waiting.ShouldBe([(Source, 2)]);
        Raised().ShouldBeEmpty("no grant would help");
        Pass(1_000);
        Receive(Source, 1);
        Raised().ShouldBeEmpty();
        router.Learn(Version(2, "otherId"), effects);
        router.Flush(effects);
        Sent().ShouldBe([(0, 2), (1, 2)]);
    }

    [Fact]
    public void A_grant_is_raised_at_half_of_four_seconds_of_traffic_for_all_partitions_at_once()
    {
        Begin(Source, 0);
        Begin(Other, 0);
        Raised().ShouldBe("METERS[0]#0 up to 0, known 1");
        Grant(Source, 0, (1, 0));
        Raised().ShouldBe("METERS[1]#0 up to 0, known 1");
        Grant(Other, 0, (1, 0));
        for (var second = 1; second <= 3; second++)
        {
            Receive(Source, Enumerable.Range((second - 1) * 100, 100).Select(offset => (long)offset).ToArray());
            Receive(Other, second - 1);
            Pass(second * 1_000);
            GrantAll((1, 0));
            GrantAll((1, 0));
        }

        Receive(Source, 300);
        router.Waiting.ShouldBeEmpty("a steady stream never waits");
        Receive(Other, 3);
        router.Waiting.Select(waits => waits.Partition).ShouldBeEmpty("one a second is four ahead");
    }

    [Fact]
    public void Where_the_store_is_away_the_router_stops_at_its_grant_and_asks_again()
    {
        Begin(Source, 0);
        Grant(Source, 2, (1, 0));
        Receive(Source, 0, 1, 2);
        Sent().ShouldBe([(0, 1), (1, 1)]);
        router.GrantsFailed([new GrantRequest(Source, 0, 3), new GrantRequest(Other, 0, 1)]);
        effects.Clear();
        router.Flush(effects);
        Raised().ShouldBeEmpty();
        router.NextDueMs.ShouldNotBeNull();
        Pass(1_000);
        Raised().ShouldBe("METERS[0]#0 up to 3, known 1");
        // Reading pauses before too much waits.
        for (var offset = 3; offset < 1_500; offset++) router.Receive(Record(Source, offset));
        router.Flush(effects);
        effects.OfType<PauseTopic>().ShouldBe([new PauseTopic(Source.Topic, true)]);
        Grant(Source, 1_500, (1, 0));
        while (effects.OfType<SendEnvelope>().ToList() is { Count: > 0 } sends)
        {
            effects.RemoveAll(effect => effect is SendEnvelope);
            foreach (var send in sends) router.Acknowledged(send.Destination, send.Number, effects);
            router.Flush(effects);
        }

        effects.OfType<PauseTopic>().ShouldBe([new PauseTopic(Source.Topic, false)]);
        router.IsIdle.ShouldBeTrue();
    }

    [Fact]
    public void A_topic_that_is_no_longer_declared_is_granted_nothing_until_it_is_declared_again()
    {
        router.Learn(Version(2, "stationId", topic: "PARAMS"), effects);
        Begin(Source, 0);
        Grant(Source, 1, (1, 0), (2, 1));
        Receive(Source, 0, 1);
        Sent().ShouldBe([(0, 1)]);
        Raised().ShouldBeEmpty();
        router.Learn(Version(3, "otherId"), effects);
        router.Flush(effects);
        Raised().ShouldBe("METERS[0]#0 up to 1, known 3", "the list is read, nothing is raised");
        Grant(Source, 1, (1, 0), (2, 1), (3, 1));
        Raised().ShouldBe("METERS[0]#0 up to 2, known 3");
        Grant(Source, 2, (1, 0), (2, 1), (3, 1));
        Sent().ShouldBe([(1, 3)]);
    }

    [Fact]
    public void What_was_read_of_a_log_before_it_was_trimmed_is_routed_and_committed_before_the_gap_is()
    {
        Begin(Source, 2);
        Grant(Source, 2, (1, 0));
        Receive(Source, 2, 3);
        Sent().ShouldBeEmpty();
        router.Assigned(Source, 0, 7);
        Grant(Source, 10, (1, 0));
        Receive(Source, 7);
        router.Committable.ShouldBe([(Source, 2)]);
        Sent().ShouldBe([(2, 1), (3, 1), (7, 1)]);
        router.Committable.ShouldBe([(Source, 8)]);
        router.Assigned(Source, 0, 12);
        router.Committable.ShouldBe([(Source, 12)], "nothing is under way");
    }

    [Fact]
    public void Grants_of_a_partition_that_went_away_or_began_another_life_are_passed_over()
    {
        Begin(Source, 0);
        router.Assigned(Source, 1, 0);
        Grant(Source, 10, (1, 0));
        Receive(Source, 0);
        Sent().ShouldBeEmpty();
        Raised().ShouldBe("METERS[0]#1 up to 0, known 1");
        router.Revoked(Source);
        router.IsIdle.ShouldBeTrue();
        router.Granted([new SourceGrant(Source, 1, 10, [new RulesFrom(1, 0)])], effects);
        Sent().ShouldBeEmpty();
        router.GrantsFailed([new GrantRequest(Source, 1, 3)]);
        Pass(10_000);
        Raised().ShouldBeEmpty();
    }

    private void Begin(TopicPartition partition, long next)
    {
        router.Assigned(partition, 0, next);
        router.Flush(effects);
    }

    private void Receive(TopicPartition partition, params long[] offsets)
    {
        foreach (var offset in offsets) router.Receive(Record(partition, offset));
        router.Flush(effects);
    }

    private void Pass(long ms) => router.TimePassed(StartMs + ms, false, effects);

    private void Grant(TopicPartition partition, long granted, params (long Version, long From)[] rules)
    {
        effects.Clear();
        router.Granted([new SourceGrant(partition, 0, granted, [.. rules.Select(rule => new RulesFrom(rule.Version, rule.From))])], effects);
        router.Flush(effects);
    }

    private void GrantAll(params (long Version, long From)[] rules)
    {
        if (effects.OfType<RaiseGrants>().LastOrDefault() is not { } raise) return;
        effects.Clear();
        router.Granted([.. raise.Requests.Select(request => new SourceGrant(request.Partition, request.Incarnation, request.UpTo, [.. rules.Select(rule => new RulesFrom(rule.Version, rule.From))]))], effects);
        router.Flush(effects);
    }

    // The last order, taken.
    private string Raised()
    {
        var raise = effects.OfType<RaiseGrants>().LastOrDefault();
        effects.RemoveAll(effect => effect is RaiseGrants);
        return raise is null ? "" : string.Join("; ", raise.Requests.Select(request => $"{request.Partition}#{request.Incarnation} up to {request.UpTo}")) + $", known {raise.Known}";
    }

    // Offsets and versions of what was sent, acknowledged as it comes.
    private List<(long Offset, long Version)> Sent()
    {
        List<(long, long)> sent = [];
        while (effects.OfType<SendEnvelope>().ToList() is { Count: > 0 } sends)
        {
            effects.RemoveAll(effect => effect is SendEnvelope);
            foreach (var send in sends)
            {
                foreach (var record in PartsEnvelope.Parser.ParseFrom(send.Value.Span).Records)
                {
                    sent.Add((record.Offset, record.Rules));
                    record.Parts.Single().Station.ShouldBe(record.Rules % 2 == 1 && record.Rules != 3 ? "S1" : "T1");
                }

                router.Acknowledged(send.Destination, send.Number, effects);
            }
        }

        return sent;
    }

    private static SourceRecord Record(TopicPartition partition, long offset) =>
        new(partition, offset, StartMs, """{"stationId": "S1", "otherId": "T1"}"""u8.ToArray(), null);

    private static ShardSettings Version(long number, string station, string topic = "METERS") => new()
    {
        Pipeline = PipelineFiles.Valid($$"""{ "topics": { "{{topic}}": { "station": "{{station}}", "envelope": "object", "shape": "fields", "fields": ["a"] } }, "modules": {} }"""),
        ConfigurationVersion = number,
        Group = CoreNode.Group,
        ShardCount = 1,
        StoreId = "c0decafe0123",
    };
}
