using System.Text.Json;
using Analytics.Actors.Node.Modules;

namespace Analytics.Actors.Tests.Modules;

public class StationGuidanceTests
{
    private static JsonElement? Call(string json) => new StationGuidance().Call(JsonInput.Of(json), CancellationToken.None).Element();

    private static (string? Code, double Points)[] Reasons(JsonElement? result) =>
        [.. result!.Value.GetProperty("reasons").EnumerateArray()
            .Select(reason => (reason.GetProperty("code").GetString(), reason.GetProperty("points").GetDouble()))];

    [Fact]
    public void The_score_is_the_sum_of_points_computed_by_hand()
    {
        // Load of the next three hours 30 of 120 kW: 40 x 0.75 = 30. Guns used to a fifth: 24. Equipment to 40 %: 9. Two guns
        // came free (one is named twice, one order has not ended): 10.
        var result = Call("""
            {"loadForecast": [20, 30, 40, 500], "gridCapacityKw": 120, "peakPowerKw": 60, "gunUtilisation": 0.2, "equipmentAtWorkShare": 0.4,
             "car_order": [{"gunNo": "1", "endChargeTime": "2023-04-01 00:00:01"}, {"gunNo": "1", "endChargeTime": "2023-04-01 00:00:01"},
               {"gunNo": 2, "endChargeTime": "2023-04-01 00:00:01"}, {"gunNo": "3"}]}
            """);
        Reasons(result).ShouldBe([("spare-power", 30), ("free-guns", 24), ("idle-equipment", 9), ("guns-just-freed", 10)]);
        result!.Value.GetProperty("score").GetDouble().ShouldBe(73);
        result.Value.GetProperty("shareKnown").GetDouble().ShouldBe(1);
        result.Value.GetProperty("reasons")[0].GetProperty("text").GetString().ShouldBe("30 kW of 120 kW are expected in the next 3 hours");
    }

    [Fact]
    public void What_is_not_known_gives_half_of_its_points()
    {
        var result = Call("""{"gunUtilisation": 1}""");
        Reasons(result).ShouldBe([("spare-power-unknown", 20), ("free-guns", 0), ("idle-equipment-unknown", 7.5), ("guns-just-freed-unknown", 7.5)]);
        result!.Value.GetProperty("score").GetDouble().ShouldBe(35);
        result.Value.GetProperty("shareKnown").GetDouble().ShouldBe(0.3);
    }

    [Fact]
    public void Without_a_grid_capacity_the_peak_of_the_window_stands_for_it()
    {
        var reasons = Reasons(Call("""{"loadForecast": [15, 15, 15], "gridCapacityKw": null, "peakPowerKw": 60}"""));
        reasons[0].ShouldBe(("spare-power", 30));
    }

    [Fact]
    public void Points_stay_within_their_limits()
    {
        var result = Call("""
            {"loadForecast": [900, 900, 900], "gridCapacityKw": 100, "gunUtilisation": -3, "equipmentAtWorkShare": 7,
             "car_order": [{"gunNo": "1", "endChargeTime": "t"}, {"gunNo": "2", "endChargeTime": "t"}, {"gunNo": "3", "endChargeTime": "t"}, {"gunNo": "4", "endChargeTime": "t"}]}
            """);
        Reasons(result).ShouldBe([("spare-power", 0), ("free-guns", 30), ("idle-equipment", 0), ("guns-just-freed", 15)]);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"car_order": [{"gunNo": "1", "endChargeTime": "t"}]}""")]
    [InlineData("""{"loadForecast": [1, 2], "gunUtilisation": null, "energyKwh": "x"}""")]
    public void Without_either_result_there_is_nothing(string json) => Call(json).ShouldBeNull();

    [Theory]
    [InlineData("""{"energyKwh": 1, "loadForecast": [1, null, 3], "car_order": {"a": 1}}""")]
    [InlineData("""{"energyKwh": 1, "loadForecast": [1e308, 1e308, 1e308], "gridCapacityKw": 1e-300, "car_order": [null, 5, "x", {"gunNo": "\ud800"}]}""")]
    [InlineData("""{"energyKwh": 1, "loadForecast": "x", "peakPowerKw": [1], "gunUtilisation": {"a": 1}, "equipmentAtWorkShare": true}""")]
    public void Odd_input_gives_a_score_all_the_same(string json)
    {
        var score = Call(json)!.Value.GetProperty("score").GetDouble();
        score.ShouldBeInRange(0, 100);
    }
}
