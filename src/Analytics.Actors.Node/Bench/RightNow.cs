using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench;

/// <summary>A workload's records, all of this moment: none is past its time to live when it is read.</summary>
internal sealed class RightNow(Workload of) : Workload(of.Stations, new WorkloadOptions())
{
    private readonly long nowMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    public override string Name => of.Name;

    public override IReadOnlyList<string> Topics => of.Topics;

    public override string Pipeline(bool keyed) => of.Pipeline(keyed);

    public override WorkloadRecord At(long number) => of.At(number) with { TimestampMs = nowMs };
}
