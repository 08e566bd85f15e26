using Analytics.Actors.Integration.Support;

namespace Analytics.Actors.Integration;

/// <summary>How the process of a node ends that is told to leave, or declared down, by the verbs of another process.</summary>
public class NodeEndTests
{
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task A_node_that_is_told_to_leave_ends_with_0_and_one_that_is_declared_down_with_1_and_who_did_it()
    {
        await using var processes = await NodeProcesses.StartAsync();
        using var folder = new TestFolder();
        using (var leave = AnalyticsProcess.Start(folder.Path, "cluster", "leave", "itp-1", "--by", "ann", "--address", processes.Address))
        {
            (await leave.ExitAsync(EndLimit)).ShouldBe(0, leave.State());
        }

        (await processes.Node.ExitAsync(EndLimit)).ShouldBe(0, processes.Node.State());
        processes.Node.Output.ShouldContain("told to leave by ann");
        processes.Node.Output.ShouldNotContain("not finished");

        await processes.StartNodeAsync();
        using (var down = AnalyticsProcess.Start(folder.Path, "cluster", "down", "itp-1", "--yes", "--by", "bob", "--address", processes.Address))
        {
            (await down.ExitAsync(EndLimit)).ShouldBe(0, down.State());
            down.Output.ShouldContain("fenced: shards 0, 1, 2, 3, 4, 5, 6, 7");
        }

        (await processes.Node.ExitAsync(EndLimit)).ShouldBe(1, processes.Node.State());
        processes.Node.Errors.ShouldMatch("the node \"itp-1\" was declared down by bob at ....-..-.. ..:..:..Z");
    }
}
