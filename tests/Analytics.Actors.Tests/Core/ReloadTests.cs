using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Tests.Pipeline;
using Google.Protobuf;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>A node that takes another version of the configuration over, and shards that meet one before they know it.</summary>
public class ReloadTests
{
    private const long Now = CoreNode.StartMs;
    private static readonly ShardId Zero = new(0);
    private readonly MemoryCheckpointStore store = new("c0decafe0123");
    private readonly List<NodeEffect> effects = [];
    private readonly NodeCore core = new(new NodeSettings { Shards = Version(1), CheckpointIntervalMs = 1_000, UrgentIntervalMs = 10, ReleaseLimitMs = 5_000, RetryPauseMinMs = 200, RetryPauseMaxMs = 2_000, Seed = 5 });

    public ReloadTests()
    {
        store.OpenAsync(CoreNode.Group, 1, default).AsTask().GetAwaiter().GetResult();
        Handle(new ShardsAssigned([Zero]));
        TakeOver();
    }

    [Fact]
    public void A_shard_is_released_in_order_and_taken_over_at_once_with_the_new_version_and_its_windows()
    {
        Read(0, "METERS", rules: 1);
        core.ConfigurationVersion.ShouldBe(1);
        Handle(new ConfigurationChanged(Version(2)));
        core.Phases.ShouldBe([(Zero, ShardPhase.Releasing)]);
        core.ConfigurationVersion.ShouldBe(1, "its shard runs it still");
        Commit().Release.ShouldBeTrue();
        core.Phases.ShouldBe([(Zero, ShardPhase.TakingOver)], "without a pause");
        TakeOver();
        core.ConfigurationVersion.ShouldBe(2);
        core.Find(Zero)!.Positions[new TopicPartition("test.station-events", 0)].Next.ShouldBe(1);
        core.Find(Zero)!.StationCount.ShouldBe(1);
        Handle(new ConfigurationChanged(Version(2)));
        Handle(new ConfigurationChanged(Version(1)));
        core.Phases.ShouldBe([(Zero, ShardPhase.Running)], "it runs that or a newer one already");
    }

    [Theory]
    [InlineData("PARAMS")]
    [InlineData("METERS")]
    public void What_was_routed_by_a_version_that_the_shard_does_not_run_waits_for_it_and_is_neither_dropped_nor_rejected(string topic)
    {
        Read(0, "METERS", rules: 1);
        Read(1, topic, rules: 3);
        Read(2, "METERS", rules: 1);
        Take<ReadConfiguration>().ShouldBe([new ReadConfiguration(3)]);
        var shard = core.Find(Zero)!;
        shard.AwaitedVersion.ShouldBe(3);
        shard.Positions[shard.PartsLog].Next.ShouldBe(1);
        Read(3, topic, rules: 3);
        Take<ReadConfiguration>().ShouldBeEmpty("it is ordered once");

        // Another one than the awaited: it waits on.
        Handle(new ConfigurationChanged(Version(2)));
        Commit();
        TakeOver();
        Read(1, topic, rules: 3);
        core.Find(Zero)!.AwaitedVersion.ShouldBe(3);
        Handle(new ConfigurationChanged(Version(3)));
        Commit();
        TakeOver();
        Read(1, topic, rules: 3);
        Read(2, "METERS", rules: 1);
        shard = core.Find(Zero)!;
        shard.AwaitedVersion.ShouldBeNull();
        shard.Positions[shard.PartsLog].Next.ShouldBe(3);
        shard.AppliedByTopic.Values.Sum().ShouldBe(2);
        Handle(new TimePassed(), Now + 5_000);
        Commit().LettersAdded.ShouldBeEmpty();
    }

    [Fact]
    public void A_batch_of_a_module_that_only_a_newer_version_has_waits_too()
    {
        var log = new TopicPartition("test.batch-results", 0);
        var envelope = new BatchEnvelope { Manifests = { new Manifest { Topic = "METERS", PreviousOffset = -1, BatchId = "METERS:0:0", Modules = { "extra" }, Stations = { "S0" }, Rules = 2 } } };
        Handle(new RecordsRead(log, [new LogRecord(log, 0, Now, envelope.ToByteArray())]));
        core.Find(Zero)!.Positions.ContainsKey(log).ShouldBeFalse();
        Handle(new ConfigurationChanged(Version(2)));
        Commit();
        TakeOver();
        Handle(new RecordsRead(log, [new LogRecord(log, 0, Now, envelope.ToByteArray())]));
        core.Find(Zero)!.Batches.Batches.Count.ShouldBe(1);
    }

    [Fact]
    public void An_owner_that_hands_its_care_on_is_released_all_the_same()
    {
        // Nobody released it, and the new owner has not looked through its stations yet.
        Read(0, "METERS", rules: 1);
        Handle(new TimePassed(), Now + 5_000);
        Commit();
        Handle(new ShardsLost([Zero]));
        effects.Clear();
        Handle(new ShardsAssigned([Zero]));
        TakeOver();
        core.Find(Zero)!.IsScanned.ShouldBeFalse();
        effects.Clear();
        Handle(new ShardsRevoked([Zero]));
        Commit().Release.ShouldBeFalse("the next owner has to be careful too");
        Take<ReleaseShard>().ShouldBe([new ReleaseShard(Zero, true)]);
        core.Phases.ShouldBeEmpty();
    }

    private static ShardSettings Version(long number) => new()
    {
        Pipeline = PipelineFiles.Valid($$"""
            {
              "topics": {
                "METERS": { "envelope": "object", "mode": "append", "window": 1, "shape": "fields", "fields": ["a"] }
                {{(number > 2 ? """, "PARAMS": { "envelope": "object", "mode": "append", "window": 1, "shape": "fields", "fields": ["b"] }""" : "")}}
              },
              "modules": { {{(number > 1 ? """ "extra": { "topics": ["METERS"] } """ : "")}} }
            }
            """),
        ConfigurationVersion = number,
        Group = "test",
        ShardCount = 1,
        StoreId = "c0decafe0123",
    };

    private void Handle(NodeMessage message, long nowMs = Now)
    {
        core.Handle(message, nowMs, effects);
        core.Settle(nowMs, effects);
    }

    private void TakeOver()
    {
        Take<TakeOver>().ShouldHaveSingleItem();
        Handle(new ShardTakenOver(store.TakeOverAsync(Zero, "me", default).AsTask().GetAwaiter().GetResult()));
    }

    private void Read(long offset, string topic, long rules)
    {
        var log = new TopicPartition("test.station-events", 0);
        var parts = new RecordParts { Topic = topic, Offset = offset, TimestampMs = Now, PreviousOffset = offset - 1, Rules = rules };
        parts.Parts.Add(new Part { Station = "S0", Items = { ByteString.CopyFromUtf8("{\"a\":1,\"b\":2}") } });
        Handle(new RecordsRead(log, [new LogRecord(log, offset, Now, new PartsEnvelope { Records = { parts } }.ToByteArray())]));
        foreach (var load in Take<ShardLoad>()) Handle(store.LoadAsync(load, default).AsTask().GetAwaiter().GetResult());
    }

    private ShardCheckpoint Commit()
    {
        // One that is under way goes first; the last one is meant.
        ShardCheckpoint? last = null;
        while (Take<Commit>().SingleOrDefault() is { } commit)
        {
            last = commit.Checkpoints.Single();
            Handle(new CommitFinished(store.CommitAsync(commit.Checkpoints, default).AsTask().GetAwaiter().GetResult()));
        }

        return last.ShouldNotBeNull();
    }

    private List<T> Take<T>() where T : NodeEffect
    {
        var found = effects.OfType<T>().ToList();
        effects.RemoveAll(effect => effect is T);
        return found;
    }
}
