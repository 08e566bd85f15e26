using Analytics.Actors.Benchmarks;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Analytics.Actors.Tests.Bench;

/// <summary>
/// No hot path allocates more than its limit in tests/Analytics.Actors.Benchmarks/HotPaths.cs. Bytes are exact, whatever else the
/// machine does; times are no matter of tests.
/// </summary>
public sealed class AllocationTests(ITestOutputHelper output)
{
    private const int WarmUps = 12, Runs = 6;

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

        var bytes = 0L;
        for (var run = 0; run < Runs; run++)
        {
            path.Prepare();
            var before = GC.GetAllocatedBytesForCurrentThread();
            path.Run();
            bytes += GC.GetAllocatedBytesForCurrentThread() - before;
        }

        var each = bytes / (double)(Runs * path.Operations);
        output.WriteLine($"{path.Name}: {each:0.0} bytes, at most {path.BytesMax}");
        each.ShouldBeLessThanOrEqualTo(path.BytesMax, $"{path.Name} allocates more than it did. Find out what it is, for example with dotnet-trace's gc-verbose profile, rather than raising the limit");
    }
}
