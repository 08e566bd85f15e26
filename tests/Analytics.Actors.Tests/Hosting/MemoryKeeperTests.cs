using Analytics.Actors.Node.Hosting;

namespace Analytics.Actors.Tests.Hosting;

/// <summary>When a node gives memory back.</summary>
public class MemoryKeeperTests
{
    private const long Megabyte = 1024 * 1024;

    [Theory]
    // A node that works on as it did: what it holds beside what lives is right, however much is allocated.
    [InlineData(100, 100, 3_600, 120, 60, MemoryStep.None)]
    [InlineData(100, 120, 3_600, 500, 260, MemoryStep.None)]
    // One that was flooded and has less to do now.
    [InlineData(24, 100, 30, 120, 60, MemoryStep.Compact)]
    [InlineData(26, 100, 30, 120, 60, MemoryStep.None)]
    // It never had much to do.
    [InlineData(1, 31, 30, 120, 60, MemoryStep.None)]
    // It has its records every ten seconds, and what is between them is no end of a flood: not all threads wait each time.
    [InlineData(0, 100, 10, 120, 60, MemoryStep.None)]
    // It does nothing: now and then, for the sake of what left memory meanwhile.
    [InlineData(1, 1, 599, 120, 60, MemoryStep.None)]
    [InlineData(1, 1, 600, 120, 60, MemoryStep.Compact)]
    // A flood has left more than the work that goes on needs; not at each look.
    [InlineData(100, 100, 30, 130, 60, MemoryStep.Compact)]
    [InlineData(100, 100, 29, 130, 60, MemoryStep.None)]
    [InlineData(100, 100, 30, 230, 120, MemoryStep.None)]
    // What lives is too much to stop everything for.
    [InlineData(24, 100, 30, 500, 300, MemoryStep.CollectBeside)]
    // Least of all where a flood has left much besides: that is collected, and nothing else would do it.
    [InlineData(24, 100, 30, 900, 300, MemoryStep.CollectBeside)]
    [InlineData(1, 1, 600, 900, 300, MemoryStep.CollectBeside)]
    [InlineData(100, 100, 30, 900, 300, MemoryStep.None)]
    internal void It_collects_when_a_flood_is_over_or_has_left_too_much(
        int allocated, int peak, int seconds, int committed, int live, MemoryStep step) =>
        MemoryKeeper.Decide(Reading(allocated, peak, seconds, committed, live, MemoryKeeper.PatienceLeast)).ShouldBe(step);

    /// <summary>As measured: 62 MB that are kept, 300 MB a second, and the heap is as large again half a minute after each collection.</summary>
    [Fact]
    public void A_node_that_is_busy_is_not_stopped_every_half_minute()
    {
        var patience = MemoryKeeper.PatienceLeast;
        List<int> collected = [];
        for (int second = 5, last = 0; second <= 4 * 3_600; second += 5)
        {
            var reading = Reading(1_500, 1_600, second - last, 170, 75, patience);
            if (MemoryKeeper.Decide(reading) == MemoryStep.None) continue;
            collected.Add(second - last);
            last = second;
            patience = MemoryKeeper.NextPatience(reading);
        }

        collected.ShouldBe([30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
        MemoryKeeper.NextPatience(Reading(100, 1_600, 60, 170, 75, patience)).ShouldBe(MemoryKeeper.PatienceLeast, "a flood was over");
    }

    private static MemoryReading Reading(int allocated, int peak, int seconds, int committed, int live, TimeSpan patience) =>
        new(allocated * Megabyte, peak * Megabyte, TimeSpan.FromSeconds(seconds), committed * Megabyte, live * Megabyte, patience);
}
