using Analytics.Actors.Benchmarks;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Analytics.Actors.Tests.Bench;

/// <summary>
/// No hot path allocates more than its limit in tests/Analytics.Actors.Benchmarks/HotPaths.cs. Bytes are exact, whatever else the
/// machine does; times are no matter of tests. Only what is kept weakly is made again after each collection, and those are the
/// whole process's: so no other test runs beside these. What other tests have left running may still collect: a path that was over
/// its limit is measured again, and one that allocates too much is so each time.
/// </summary>
[Collection(AloneTests.Name)]
public sealed class AllocationTests(ITestOutputHelper output)
{
    private const int WarmUps = 12, Runs = 6, Attempts = 5;

    public static TheoryData<string> Paths => [.. HotPath.All.Keys];

    [Theory]
    [MemberData(nameof(Paths))]
    public void A_hot_path_allocates_no_more_than_its_limit(string name)
    {
        var path = HotPath.All[name]();
        // Pools fill, collections grow to their size, code is compiled.
        for (var run = 0; run < WarmUps; run++)
        {
            path.Prepare();
            path.Run();
        }

        var each = double.MaxValue;
        for (var attempt = 0; attempt < Attempts && each > path.BytesMax; attempt++)
        {
            each = BytesOfOne(path);
            output.WriteLine($"{path.Name}: {each:0.0} bytes, at most {path.BytesMax}");
        }

        each.ShouldBeLessThanOrEqualTo(path.BytesMax, $"{path.Name} allocates more than it did. Find out what it is, for example with dotnet-trace's gc-verbose profile, rather than raising the limit");
    }
    private static double BytesOfOne(HotPath path)
    {
        var bytes = 0L;
        for (var run = 0; run < Runs; run++)
        {
            path.Prepare();
            var before = GC.GetAllocatedBytesForCurrentThread();
            path.Run();
            bytes += GC.GetAllocatedBytesForCurrentThread() - before;
        }

        return bytes / (double)(Runs * path.Operations);
    }
}

/// <summary>Tests that measure what other tests in the process would change: they run after all others, one at a time.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class AloneTests
{
    public const string Name = "alone";
}
