using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;

namespace Analytics.Actors.Tests.Positions;

/// <summary>Where reading goes on, as a table: what is stored, what is committed, what the log holds.</summary>
public class PositionCheckTests
{
    private static readonly TopicPartition Partition = new("METERS", 0);
    private static readonly RecordWitness Last = new(1_700_000_000_000, 0xdecade), Other = new(1_700_000_000_001, 0xdecade);
    private static readonly StartPosition Latest = new(StartKind.Latest), Earliest = new(StartKind.Earliest), Timed = new(StartKind.Timestamp, 77);

    // Stored is the next offset, with a record before it where "witness" says so; life 3.
    [Theory]
    // Inside the log, with nothing to compare.
    [InlineData(null, 100, false, 0, 200, null, "on 100 #0")]
    [InlineData(100, 100, false, 0, 200, null, "on 100 #3")]
    // The record before the position is the one that was read; the group is ahead of the store, or behind it.
    [InlineData(100, 100, true, 0, 200, true, "on 100 #3")]
    [InlineData(100, 150, true, 0, 200, true, "on 150 #3")]
    [InlineData(100, 50, true, 0, 200, true, "on 50 #3")]
    // At the log's very beginning and end.
    [InlineData(100, 100, true, 100, 200, null, "on 100 #3")]
    [InlineData(100, 100, true, 99, 100, true, "on 100 #3")]
    [InlineData(0, 0, false, 0, 0, null, "on 0 #3")]
    // Another record stands there: a topic made anew that has grown past the position.
    [InlineData(100, 100, true, 0, 200, false, "gap Recreated from 100 #4")]
    [InlineData(100, 150, true, 0, 200, false, "gap Recreated from 150 #4")]
    // The last record read would be above the end, although the committed position is not.
    [InlineData(100, 50, true, 0, 60, null, "gap Recreated from 50 #4")]
    // The record is gone from the middle: compacted. That is no other log.
    [InlineData(100, 100, true, 0, 200, null, "on 100 #3")]
    // Trimmed: the same log, so the same life; also where the record before the position can no longer be seen.
    [InlineData(100, 100, true, 120, 200, null, "gap Trimmed from 100 #3")]
    [InlineData(100, 100, false, 101, 200, null, "gap Trimmed from 100 #3")]
    [InlineData(100, 150, true, 160, 200, null, "gap Trimmed from 150 #3")]
    [InlineData(100, 100, true, 200, 200, null, "gap Trimmed from 100 #3")]
    // Beyond the end: made anew, or its end lost.
    [InlineData(100, 100, true, 0, 5, null, "gap BeyondEnd from 100 #4")]
    [InlineData(100, 100, false, 0, 99, null, "gap BeyondEnd from 100 #4")]
    [InlineData(null, 100, false, 0, 0, null, "gap BeyondEnd from 100 #1")]
    // The group has forgotten: the store's position counts, and is checked as well. Kafka forgets with a deleted topic.
    [InlineData(100, null, true, 0, 200, true, "on 100 #3")]
    [InlineData(100, null, true, 0, 200, false, "gap Recreated from 100 #4")]
    [InlineData(100, null, true, 0, 5, null, "gap BeyondEnd from 100 #4")]
    [InlineData(100, null, true, 120, 200, null, "gap Trimmed from 100 #3")]
    // Never read: the topic's start. A row that knows only a life does not tell which log its marks are of.
    [InlineData(null, null, false, 0, 200, null, "begin Latest #0")]
    [InlineData(-1, null, false, 0, 200, null, "begin Latest #4")]
    public void The_table(int? stored, int? committed, bool witness, int low, int high, bool? foundIsSame, string expected)
    {
        var facts = Facts(stored, committed, witness, low, high, foundIsSame is { } same ? same ? Last : Other : null);
        Tell(PositionCheck.Decide(facts with { Policy = new(OutOfRangeKind.Latest) })).ShouldBe(expected);
    }

    [Fact]
    public void Each_policy_goes_where_it_says()
    {
        foreach (var (facts, reason, life) in new[]
        {
            (Facts(100, 100, true, 120, 200, null), GapReason.Trimmed, 3),
            (Facts(100, 100, true, 0, 200, Other), GapReason.Recreated, 4),
            (Facts(100, 100, true, 0, 9, null), GapReason.BeyondEnd, 4),
        })
        {
            PositionCheck.Decide(facts with { Policy = new(OutOfRangeKind.Stop) }).ShouldBe(new PositionDecision.Stop(reason, 100));
            PositionCheck.Decide(facts with { Policy = new(OutOfRangeKind.Earliest) }).ShouldBe(new PositionDecision.Skip(reason, 100, Earliest, life));
            PositionCheck.Decide(facts with { Policy = new(OutOfRangeKind.Latest) }).ShouldBe(new PositionDecision.Skip(reason, 100, Latest, life));
            PositionCheck.Decide(facts with { Policy = new(OutOfRangeKind.Timestamp, 77) }).ShouldBe(new PositionDecision.Skip(reason, 100, Timed, life));
        }
    }

    [Fact]
    public void Each_start_begins_where_it_says_and_a_new_partition_of_a_known_topic_at_its_first_record()
    {
        foreach (var start in new[] { Earliest, Latest, Timed, new StartPosition(StartKind.Group, Group: "python") })
        {
            var facts = Facts(null, null, false, 5, 200, null) with { Start = start };
            PositionCheck.Decide(facts).ShouldBe(new PositionDecision.Begin(start, 0));
            PositionCheck.Decide(facts with { IsGrown = true }).ShouldBe(new PositionDecision.Begin(Earliest, 0));
            // It has a position by now: that it was new once says nothing any more.
            PositionCheck.Decide(facts with { IsGrown = true, Committed = 9 }).ShouldBe(new PositionDecision.GoOn(9, 0));
        }
    }

    [Fact]
    public void A_position_that_was_set_counts_before_what_the_group_committed_and_is_not_compared()
    {
        var facts = Facts(40, 100, true, 0, 200, Other) with { IsWanted = true };
        PositionCheck.WitnessOffset(facts).ShouldBeNull();
        PositionCheck.Decide(facts).ShouldBe(new PositionDecision.GoOn(40, 3));
        PositionCheck.Decide(facts with { Log = new(50, 200) }).ShouldBe(new PositionDecision.Stop(GapReason.Trimmed, 40));
        PositionCheck.Decide(facts with { Log = new(0, 30) }).ShouldBe(new PositionDecision.Stop(GapReason.BeyondEnd, 40));
    }

    // Else the one who hears of it last would begin one more life, and everything would be applied again.
    [Fact]
    public void A_reader_of_an_earlier_life_follows_who_has_found_the_new_log_before()
    {
        var facts = Facts(40, 100, true, 0, 50, Last) with { Policy = new(OutOfRangeKind.Earliest) };
        PositionCheck.Decide(facts with { ReadingIncarnation = 3 }).ShouldBe(new PositionDecision.Skip(GapReason.BeyondEnd, 100, Earliest, 4));
        PositionCheck.Decide(facts with { ReadingIncarnation = 2 }).ShouldBe(new PositionDecision.GoOn(40, 3));
        PositionCheck.Decide(facts with { ReadingIncarnation = 2, Log = new(0, 30) }).ShouldBe(new PositionDecision.Skip(GapReason.BeyondEnd, 40, Earliest, 4), "the log is yet another one");
    }

    [Fact]
    public void The_record_before_the_stored_position_is_looked_up_where_one_is_remembered()
    {
        PositionCheck.WitnessOffset(Facts(100, 150, true, 0, 200, null)).ShouldBe(99);
        PositionCheck.WitnessOffset(Facts(100, 150, false, 0, 200, null)).ShouldBeNull();
        PositionCheck.WitnessOffset(Facts(null, 150, false, 0, 200, null)).ShouldBeNull();
        PositionCheck.WitnessOffset(Facts(0, 0, true, 0, 0, null)).ShouldBeNull();
        // A record without a timestamp is still told by its checksum.
        new PartitionPosition(Partition, 5, -1, 7).HasWitness.ShouldBeTrue();
    }

    [Fact]
    public void Whatever_is_found_reading_goes_on_inside_the_log_or_the_life_is_a_new_one_or_the_log_was_trimmed()
    {
        foreach (var (stored, committed, low, size, found) in
                 from stored in new int?[] { null, 0, 1, 5, 9 }
                 from committed in new int?[] { null, 0, 1, 5, 9 }
                 from low in new[] { 0, 1, 4, 5, 6, 9 }
                 from size in new[] { 0, 1, 4, 5, 9 }
                 from found in new RecordWitness?[] { null, Last, Other }
                 select (stored, committed, low, size, found))
        {
            var facts = Facts(stored, committed, true, low, low + size, found) with { Policy = new(OutOfRangeKind.Earliest) };
            switch (PositionCheck.Decide(facts))
            {
                case PositionDecision.GoOn(var next, var life):
                    facts.Log.Contains(next).ShouldBeTrue();
                    life.ShouldBe(stored is null ? 0 : 3);
                    break;
                case PositionDecision.Skip(var reason, var from, _, var life):
                    if (reason == GapReason.Trimmed) from.ShouldBeLessThan(low);
                    else life.ShouldBe((stored is null ? 0 : 3) + 1);
                    break;
                case PositionDecision.Begin(var at, _):
                    (stored ?? committed).ShouldBeNull();
                    at.ShouldBe(Latest);
                    break;
            }
        }
    }

    [Theory]
    [InlineData(TopicRole.Source, 4, 4, GrowthDecision.Unchanged)]
    [InlineData(TopicRole.Source, 0, 4, GrowthDecision.Unchanged)]
    [InlineData(TopicRole.Source, 4, 6, GrowthDecision.ReadNewFromStart)]
    [InlineData(TopicRole.Source, 4, 2, GrowthDecision.Shrunk)]
    [InlineData(TopicRole.PerShard, 16, 16, GrowthDecision.Unchanged)]
    [InlineData(TopicRole.PerShard, 16, 17, GrowthDecision.Refuse)]
    [InlineData(TopicRole.PerShard, 16, 8, GrowthDecision.Refuse)]
    public void Growth_of_a_source_is_read_and_of_what_belongs_to_shards_refused(TopicRole role, int pinned, int found, GrowthDecision expected) =>
        TopicGrowth.Decide(role, pinned, found).ShouldBe(expected);

    private static PositionFacts Facts(int? stored, int? committed, bool witness, int low, int high, RecordWitness? found) => new()
    {
        Stored = stored is { } next ? new PartitionPosition(Partition, next, witness ? Last.TimestampMs : -1, witness ? Last.Checksum : 0, 3) : null,
        Committed = committed,
        Log = new LogRange(low, high),
        Found = found,
        Start = Latest,
    };

    private static string Tell(PositionDecision decision) => decision switch
    {
        PositionDecision.GoOn(var next, var life) => $"on {next} #{life}",
        PositionDecision.Begin(var at, var life) => $"begin {at.Kind} #{life}",
        PositionDecision.Skip(var reason, var from, { Kind: StartKind.Latest }, var life) => $"gap {reason} from {from} #{life}",
        _ => decision.ToString(),
    };
}
