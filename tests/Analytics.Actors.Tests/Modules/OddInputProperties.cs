using System.Text.Json;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Node.Modules;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Modules;

/// <summary>Whatever JSON stands in whatever member: a built-in module returns an object or nothing.</summary>
public class OddInputProperties
{
    private static readonly string[] Names =
    [
        "sendTime", "outputPowerPerStationAvg", "outputPowerPerGunAvg", "date", "isHoliday", "isWeekend", "gridCapacity", "gunNum",
        "car_price", "device_host_dcdc", "device_host_acdc", "car_order", "loadForecast", "gridCapacityKw", "peakPowerKw",
        "gunUtilisation", "equipmentAtWorkShare", "energyKwh",
    ];

    private static readonly Gen<string> Leaf = Gen.Elements(
        "null", "true", "false", "0", "-1", "1.5", "1e308", "1e999", "-1e-320", "12345678901234567890", "\"\"", "\"01\"", "\"x\"", "\"\\ud800\"",
        "\"2023-04-01 00:00:00\"", "\"2023-04-01 01:00:00\"", "\"9999-12-31 23:59:59\"", "\"0001-01-01\"", "[]", "{}");

    private static readonly string[] Inner =
        ["feeNo", "peakElectricFee", "peakServerFee", "dcWorkStatus", "dcPower", "acPower", "gunNo", "endChargeTime", "hostCode"];

    private static Gen<string> Value(int depth) => depth == 0 ? Leaf : Gen.OneOf(
        Leaf,
        Value(depth - 1).ListOf().Select(values => $"[{string.Join(",", values)}]"),
        Leaf.Two().Select(pair => $"[{string.Join(",", Enumerable.Repeat(pair.Item1, 30).Append(pair.Item2))}]"),
        Gen.Elements(Inner).SelectMany(name => Value(depth - 1).Select(value => $"{{\"{name}\":{value}}}")));

    private static readonly Gen<string> Inputs = Gen.CollectToList(Names, _ => Gen.Frequency((2, Value(3)), (1, Gen.Constant(""))))
        .Select(values => $"{{{string.Join(",", Names.Zip(values).Where(pair => pair.Second.Length > 0).Select(pair => $"\"{pair.First}\":{pair.Second}"))}}}");

    [Fact]
    public void A_built_in_module_never_throws() => Prop.ForAll(Inputs.ToArbitrary(), json =>
    {
        var catalog = ModuleCatalog.WithBuiltIns();
        foreach (var name in catalog.Names)
        {
            var result = ((SynchronousModule)catalog.Find(name)!).Call(JsonInput.Of(json), CancellationToken.None);
            if (result.IsNothing) continue;
            using var document = JsonDocument.Parse(result.Json);
            document.RootElement.ValueKind.ShouldBe(JsonValueKind.Object);
        }
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
}
