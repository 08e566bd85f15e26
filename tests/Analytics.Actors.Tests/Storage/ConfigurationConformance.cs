using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;

namespace Analytics.Actors.Tests.Storage;

// What every store must do with versions of the configuration and with grants.
public abstract partial class CheckpointStoreConformance
{
    private static readonly TopicPartition Meters = new("METERS", 0), Orders = new("ORDERS", 3);

    [Fact]
    public async Task Versions_follow_each_other_and_one_that_expects_another_changes_nothing()
    {
        (await Store.ReadConfigurationAsync(null, default)).ShouldBeNull();
        (await Store.ReadConfigurationAsync(1, default)).ShouldBeNull();
        (await Store.ListConfigurationsAsync(default)).ShouldBeEmpty();
        (await Apply(0, "{ \"一\": 1 }", by: "the first node", comment: "")).ShouldBe(new ConfigurationOutcome(true, 1));
        (await Apply(0, "two nodes begin")).ShouldBe(new ConfigurationOutcome(false, 1));
        (await Apply(1, "second")).ShouldBe(new ConfigurationOutcome(true, 2));
        (await Apply(1, "other second")).ShouldBe(new ConfigurationOutcome(false, 2));

        await RestartAsync();
        var first = new ConfigurationVersion(1, "{ \"一\": 1 }", "the first node", 1_700_000_000_000, "");
        (await Store.ReadConfigurationAsync(1, default)).ShouldBe(first);
        var second = new ConfigurationVersion(2, "second", "somebody", 1_700_000_000_000, "why");
        (await Store.ReadConfigurationAsync(null, default)).ShouldBe(second);
        (await Store.ReadConfigurationAsync(3, default)).ShouldBeNull();
        (await Store.ListConfigurationsAsync(default)).ShouldBe([second with { Text = "" }, first with { Text = "" }]);
    }

    [Fact]
    public async Task New_rules_begin_at_what_is_granted_and_grants_never_fall()
    {
        await Apply(0, "1");
        (await Raise(1, (Meters, 0, 100), (Orders, 2, 7))).ShouldBe(["METERS[0]#0 100: 1 from 0", "ORDERS[3]#2 7: 1 from 0"]);
        (await Raise(1, (Meters, 0, 60))).ShouldBe(["METERS[0]#0 100: 1 from 0"]);
        await Apply(1, "2", reroutes: true);
        // Nobody is granted what he could not process.
        (await Raise(1, (Meters, 0, 200))).ShouldBe(["METERS[0]#0 100: 1 from 0, 2 from 100"]);
        (await Raise(2, (Meters, 0, 200))).ShouldBe(["METERS[0]#0 200: 1 from 0, 2 from 100"]);
        await Apply(2, "3");
        await Apply(3, "4", reroutes: true);

        await RestartAsync();
        (await Raise(4, (Orders, 2, 8), (Meters, 0, 0))).ShouldBe(["ORDERS[3]#2 8: 1 from 0, 2 from 7, 4 from 7", "METERS[0]#0 200: 1 from 0, 2 from 100, 4 from 200"]);
        (await Store.ReadGrantsAsync(default)).Select(Print).ShouldBe(["METERS[0]#0 200: 1 from 0, 2 from 100, 4 from 200", "ORDERS[3]#2 8: 1 from 0, 2 from 7, 4 from 7"]);
        var grant = (await Store.ReadGrantsAsync(default))[1];
        new long[] { 0, 6, 7, 8 }.Select(grant.VersionAt).ShouldBe([1, 1, 4, 4]);
    }

    [Fact]
    public async Task Another_life_of_a_partition_begins_with_the_current_version()
    {
        await Apply(0, "1");
        await Raise(1, (Meters, 0, 100));
        await Apply(1, "2", reroutes: true);
        (await Raise(1, (Meters, 1, 5))).ShouldBe(["METERS[0]#1 0: 2 from 0"], "its rules are not known to who asks: nothing is written");
        await Apply(2, "3", reroutes: true);
        (await Raise(3, (Meters, 1, 5))).ShouldBe(["METERS[0]#1 5: 3 from 0"]);
        (await Raise(3, (Meters, 0, 101))).ShouldBe(["METERS[0]#0 101: 1 from 0, 2 from 100, 3 from 100"]);
    }

    [Fact]
    public async Task What_was_read_before_there_were_grants_stays_under_the_rules_of_before()
    {
        await Store.UpdateSourcesAsync([new SourceState(Meters, 1, 3) { Next = 42 }, new SourceState(Orders, 4, 0)], default);
        await Apply(0, "1", reroutes: true);
        (await Store.ReadGrantsAsync(default)).ShouldBeEmpty();
        await Apply(1, "2", reroutes: true);
        (await Store.ReadGrantsAsync(default)).Select(Print).ShouldBe(["METERS[0]#3 42: 1 from 0, 2 from 42", "ORDERS[3]#0 0: 1 from 0, 2 from 0"]);
    }

    [Fact]
    public async Task Grants_that_are_read_while_others_are_made_have_their_rules()
    {
        await Apply(0, "1");
        var making = Task.Run(async () =>
        {
            for (var partition = 0; partition < 300; partition++) await Store.RaiseGrantsAsync([new GrantRequest(new TopicPartition("METERS", partition), 0, 1)], 1, default);
        });
        do
        {
            (await Store.ReadGrantsAsync(default)).ShouldAllBe(grant => grant.Rules.Count == 1);
        }
        while (!making.IsCompleted);
        await making;
    }

    [Fact]
    public async Task Grants_and_changes_at_the_same_time_come_one_after_the_other()
    {
        await Apply(0, "1");
        var applying = Task.Run(async () =>
        {
            for (var version = 1; version <= 20; version++) (await Apply(version, "next", reroutes: true)).ShouldBe(new ConfigurationOutcome(true, version + 1));
        });
        List<string> seen = [];
        var routers = Enumerable.Range(0, 2).Select(router => Task.Run(async () =>
        {
            var known = 1L;
            for (var upTo = 1; known < 21 || upTo < 40; upTo++)
            {
                var answers = await Store.RaiseGrantsAsync([new GrantRequest(Meters, 0, upTo * 10), new GrantRequest(Orders, 0, upTo)], known, default);
                foreach (var grant in answers)
                {
                    known = Math.Max(known, grant.Rules[^1].Version);
                    // What a list says of granted offsets stays so.
                    for (var offset = 0L; offset < grant.Granted; offset++) lock (seen) seen.Add($"{grant.Partition} {offset} {grant.VersionAt(offset)}");
                }
            }
        })).ToList();
        await Task.WhenAll([applying, .. routers]);
        seen.Distinct().GroupBy(line => line[..line.LastIndexOf(' ')]).Where(offset => offset.Count() > 1).Select(offset => offset.Key).ShouldBeEmpty();
    }

    private ValueTask<ConfigurationOutcome> Apply(long expected, string text, string by = "somebody", string comment = "why", bool reroutes = false) =>
        Store.ApplyConfigurationAsync(new ConfigurationChange(expected, text, by, 1_700_000_000_000, comment, reroutes), default);

    private async Task<IReadOnlyList<string>> Raise(long known, params (TopicPartition Partition, int Incarnation, long UpTo)[] wishes) =>
        [.. (await Store.RaiseGrantsAsync([.. wishes.Select(wish => new GrantRequest(wish.Partition, wish.Incarnation, wish.UpTo))], known, default)).Select(Print)];

    private static string Print(SourceGrant grant) =>
        $"{grant.Partition}#{grant.Incarnation} {grant.Granted}: {string.Join(", ", grant.Rules.Select(rules => $"{rules.Version} from {rules.FromOffset}"))}";
}
