using Analytics.Actors.Simulation;

namespace Analytics.Actors.Tests.Simulation;

/// <summary>The simulator itself: what it promises before anybody believes what it finds.</summary>
public class SimulatorTests
{
    [Theory]
    [InlineData(3)]
    [InlineData(11)]
    [InlineData(29)]
    public void A_seed_takes_the_same_course_each_time(int seed)
    {
        var first = Simulator.Run(seed, PlantedBug.None, null);
        var second = Simulator.Run(seed, PlantedBug.None, null, keepsHistory: true);
        second.TraceHash.ShouldBe(first.TraceHash, "with or without a history");
        second.VirtualMs.ShouldBe(first.VirtualMs);
        first.Findings.ShouldBeEmpty();
        first.Checkers.PartsApplied.ShouldBe(second.Checkers.PartsApplied);
        Simulator.Run(seed + 1, PlantedBug.None, null).TraceHash.ShouldNotBe(first.TraceHash);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_cluster_that_grows_to_six_nodes_and_shrinks_to_one_loses_nothing_and_pauses_no_shard_that_stays(int seed)
    {
        var round = RebalanceTorture.Run(seed);
        round.Findings.ShouldBeEmpty();
        round.Pauses.Count.ShouldBeGreaterThan(5, "shards moved");
    }

    [Fact]
    public void A_planted_bug_is_found_and_told_with_whom_it_concerns()
    {
        var found = Enumerable.Range(1, 20).Select(seed => Simulator.Run(seed, PlantedBugs.Find("windows-not-stored")!(), null)).First(result => result.Verdict != Verdict.Right);
        found.Findings.ShouldContain(finding => finding.Concerns.Count > 0);
    }

    [Fact]
    public void Planted_bugs_have_names_of_their_own_and_say_what_they_break()
    {
        var bugs = PlantedBugs.All.Select(make => make()).ToList();
        bugs.Count.ShouldBeGreaterThanOrEqualTo(30);
        bugs.Select(bug => bug.Name).ShouldBeUnique();
        bugs.ShouldAllBe(bug => bug.Breaks.Length > 0);
    }

    [Theory]
    [InlineData("--seeds")]
    [InlineData("--seeds", "none")]
    [InlineData("--bug", "unknown")]
    [InlineData("--what")]
    public void Wrong_arguments_are_refused(params string[] args) => CommandLine.Run(args).ShouldBe(2);
}
