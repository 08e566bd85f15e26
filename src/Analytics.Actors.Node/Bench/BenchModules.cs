using Analytics.Actors.Core.Modules;
using Analytics.Actors.Node.Bench.Workloads;
using Analytics.Actors.Node.Modules;

namespace Analytics.Actors.Node.Bench;

/// <summary>UC2's module: six statistics of the values of a station's last minute.</summary>
internal sealed class Uc2Statistics : SynchronousModule
{
    public override string Name => Uc2Workload.Module;

    public override ModuleResult Call(ModuleInput input, CancellationToken cancellation)
    {
        if (!input.TryGetSeries("valueInW", out var values) || values.Rows == 0) return ModuleResult.Nothing;
        var (count, mean, squares, least, most) = (0L, 0.0, 0.0, double.PositiveInfinity, double.NegativeInfinity);
        for (var row = 0; row < values.Rows; row++)
        {
            var value = values.Row(row)[0];
            count++;
            var delta = value - mean;
            mean += delta / count;
            squares += delta * (value - mean);
            (least, most) = (Math.Min(least, value), Math.Max(most, value));
        }

        return ModuleResult.Write(writer =>
        {
            writer.WriteNumber("count", count);
            writer.WriteNumber("sum", mean * count);
            writer.WriteNumber("mean", mean);
            writer.WriteNumber("min", least);
            writer.WriteNumber("max", most);
            writer.WriteNumber("variance", squares / count);
        });
    }
}

/// <summary>ShuffleBench's consumer: its state is what it has seen last; every tenth match asks for an output.</summary>
internal sealed class ShuffleConsumer : SynchronousModule
{
    private static readonly byte[] Result = """{"matched":1}"""u8.ToArray();

    public override string Name => ShuffleWorkload.Module;

    public override ModuleResult Call(ModuleInput input, CancellationToken cancellation) =>
        input.GetJson("output").Span.SequenceEqual("true"u8) ? ModuleResult.FromJson(Result) : ModuleResult.Nothing;
}

/// <summary>A module that takes no time: what is left is the way to it and back.</summary>
internal sealed class Echo : SynchronousModule
{
    public const string ModuleName = "bench_echo";
    private static readonly byte[] Result = """{"seen":1}"""u8.ToArray();

    public override string Name => ModuleName;

    public override ModuleResult Call(ModuleInput input, CancellationToken cancellation) => ModuleResult.FromJson(Result);
}

/// <summary>Has the grid of a station's week at hand, and looks at its size and its newest value.</summary>
internal sealed class GridReader : SynchronousModule
{
    public const string ModuleName = "bench_grid";

    public override string Name => ModuleName;

    public override ModuleResult Call(ModuleInput input, CancellationToken cancellation)
    {
        if (!input.TryGetSeries("outputPowerPerGunAvg", out var power) || power.Rows != 168 || power.Columns != 8) throw new InvalidOperationException("no grid of 168 hours and 8 guns");
        return ModuleResult.Write(writer => writer.WriteNumber("newest", power[power.Rows - 1, 0]));
    }
}
