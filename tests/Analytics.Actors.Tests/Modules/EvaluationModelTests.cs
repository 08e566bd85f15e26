using System.Text.Json;
using Analytics.Actors.Node.Modules;

namespace Analytics.Actors.Tests.Modules;

public class EvaluationModelTests
{
    private static JsonElement? Call(string json, EvaluationModel? model = null) =>
        (model ?? new EvaluationModel()).Call(JsonInput.Of(json), CancellationToken.None).Element();

    private static double? Number(JsonElement? result, string name) =>
        result!.Value.GetProperty(name) is { ValueKind: JsonValueKind.Number } value ? value.GetDouble() : null;

    private const string TwoGuns = """
        "sendTime": ["2023-04-01 22:00:00", "2023-04-01 23:00:00", "2023-04-02 00:00:00", "2023-04-02 01:00:00"],
        "gunNo": ["1", "2"], "outputPowerPerGunAvg": [[0, 10], [20, 30], [0, 0], [0, 20]]
        """;

    [Fact]
    public void Energy_use_and_evenness_are_those_computed_by_hand()
    {
        // Station power 10, 50, 0, 20: 80 kWh in 4 h, mean 20, peak 50; 4 of 8 gun hours in use.
        var result = Call($"{{{TwoGuns}}}");
        Number(result, "windowHours").ShouldBe(4);
        Number(result, "energyKwh").ShouldBe(80);
        Number(result, "averagePowerKw").ShouldBe(20);
        Number(result, "peakPowerKw").ShouldBe(50);
        Number(result, "peakToAverageRatio").ShouldBe(2.5);
        Number(result, "gunUtilisation").ShouldBe(0.5);
        result!.Value.GetProperty("windowFrom").GetString().ShouldBe("2023-04-01 22:00:00");
        result.Value.GetProperty("windowTo").GetString().ShouldBe("2023-04-02 02:00:00");
        foreach (var name in (string[])["revenue", "electricityRevenue", "serviceRevenue", "pricedEnergyShare", "dcModulesAtWorkShare",
            "acHostsAtWorkShare", "equipmentAtWorkShare", "dcPowerKw", "acPowerKw"])
            result.Value.GetProperty(name).ValueKind.ShouldBe(JsonValueKind.Null, name);
    }

    [Fact]
    public void Periods_of_a_quarter_of_an_hour_count_as_such()
    {
        var result = Call("""
            {"sendTime": ["2023-04-01 00:00:00", "2023-04-01 00:15:00"], "outputPowerPerStationAvg": [40, 80]}
            """);
        Number(result, "energyKwh").ShouldBe(30);
        Number(result, "windowHours").ShouldBe(0.5);
        Number(result, "gunUtilisation").ShouldBeNull();
    }

    [Fact]
    public void Revenue_follows_the_half_hour_positions_over_midnight()
    {
        // Positions: 00:00 ebb, 00:30 peak, 01:00 unknown code, 22:00 null, 22:30 flat, 23:00 flat, 23:30 sharp.
        var codes = new string?[48];
        (codes[0], codes[1], codes[2], codes[45], codes[46], codes[47]) = ("03", "01", "77", "02", "02", "00");
        var json = $$"""
            {"sendTime": ["2023-04-01 22:00:00", "2023-04-01 23:00:00", "2023-04-02 00:00:00", "2023-04-02 01:00:00"],
             "outputPowerPerStationAvg": [10, 50, 8, 20],
             "car_price": {"feeNo": {{JsonSerializer.Serialize(codes)}}, "sharpElectricFee": 2, "sharpServerFee": 0.5, "peakElectricFee": 1.5,
               "flatElectricFee": "1", "flatServerFee": 0.2, "ebbElectricFee": 0.25, "ebbServerFee": null} }
            """;
        var result = Call(json);
        // 22:30 5 kWh at 1; 23:00 25 at 1; 23:30 25 at 2; 00:00 4 at 0.25; 00:30 4 at 1.5; 22:00 and 01:00 are not priced.
        Number(result, "electricityRevenue").ShouldBe(5 + 25 + 50 + 1 + 6);
        Number(result, "serviceRevenue").ShouldBe(18.5);
        Number(result, "revenue").ShouldBe(105.5);
        Number(result, "pricedEnergyShare")!.Value.ShouldBe(63.0 / 88, 1e-6);
    }

    [Fact]
    public void A_period_off_the_half_hour_is_spread_by_time()
    {
        // 03:20 to 04:20: 10 minutes of position 6, 30 of 7, 20 of 8.
        var codes = new string[48];
        Array.Fill(codes, "04");
        (codes[6], codes[7], codes[8]) = ("00", "01", "02");
        var result = Call($$"""
            {"sendTime": ["2023-04-01 03:20:00"], "outputPowerPerStationAvg": [60],
             "car_price": {"feeNo": {{JsonSerializer.Serialize(codes)}}, "sharpElectricFee": 1, "peakElectricFee": 10, "flatElectricFee": 100} }
            """);
        Number(result, "revenue").ShouldBe(10 + 300 + 2000);
        Number(result, "pricedEnergyShare").ShouldBe(1);
    }

    [Fact]
    public void Codes_follow_the_table_that_is_given()
    {
        var codes = Enumerable.Repeat("9", 48);
        var json = $$"""
            {"sendTime": ["2023-04-01 03:00:00"], "outputPowerPerStationAvg": [60], "device_host_dcdc": [{"dcWorkStatus": ["9", "01"]}],
             "car_price": {"feeNo": {{JsonSerializer.Serialize(codes)}}, "peakElectricFee": 10} }
            """;
        var model = new EvaluationModel(
            new Dictionary<string, string> { ["09"] = "peak" }, new Dictionary<string, string> { ["09"] = "working", ["01"] = "idle" });
        Number(Call(json, model), "revenue").ShouldBe(600);
        Number(Call(json, model), "dcModulesAtWorkShare").ShouldBe(0.5);
        Number(Call(json), "revenue").ShouldBeNull();
    }

    [Fact]
    public void A_window_without_energy_earns_nothing_and_has_no_ratio()
    {
        var result = Call("""
            {"sendTime": ["2023-04-01 03:00:00"], "outputPowerPerStationAvg": [0], "car_price": {"feeNo": ["01"], "peakElectricFee": 1}}
            """);
        Number(result, "revenue").ShouldBe(0);
        Number(result, "pricedEnergyShare").ShouldBe(1);
        Number(result, "peakToAverageRatio").ShouldBeNull();
    }

    [Fact]
    public void Equipment_at_work_is_counted_by_state_and_else_by_power()
    {
        // H1: working, idle, fault with power (its state decides). H2: unknown state with power, no state without power,
        // neither. H3 is no object. Of five known modules two work; of two hosts one.
        var result = Call("""
            {"device_host_dcdc": [
                {"hostCode": "H1", "dcWorkStatus": ["01", 0, "02"], "dcPower": [30, 0, 5]},
                {"hostCode": "H2", "dcWorkStatus": ["xx", null, "yy"], "dcPower": [7.5, 0]}, 17],
             "device_host_acdc": [{"hostCode": "H1", "acPower": 44.5}, {"hostCode": "H2", "acPower": 0}, {"hostCode": "H3"}]}
            """);
        Number(result, "dcModulesAtWorkShare").ShouldBe(0.4);
        Number(result, "acHostsAtWorkShare").ShouldBe(0.5);
        Number(result, "equipmentAtWorkShare")!.Value.ShouldBe(3.0 / 7, 1e-6);
        Number(result, "dcPowerKw").ShouldBe(42.5);
        Number(result, "acPowerKw").ShouldBe(44.5);
        Number(result, "energyKwh").ShouldBeNull();
        Number(result, "windowHours").ShouldBeNull();
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"sendTime": [], "outputPowerPerStationAvg": [], "car_price": {"feeNo": ["01"]}}""")]
    [InlineData("""{"device_host_dcdc": [], "device_host_acdc": null}""")]
    public void Without_a_grid_or_equipment_there_is_nothing(string json) => Call(json).ShouldBeNull();

    [Theory]
    [InlineData("""{"outputPowerPerStationAvg": [1, null], "car_price": {"feeNo": {}}}""")]
    [InlineData("""{"outputPowerPerStationAvg": [1, 2], "sendTime": [null, "\ud800"], "car_price": [1]}""")]
    [InlineData("""{"outputPowerPerStationAvg": [1, 2], "sendTime": ["2023-04-02 00:00:00", "2023-04-01 00:00:00"], "car_price": {"feeNo": [[], {}, "", "\udfff", true, 1.5]}}""")]
    [InlineData("""{"outputPowerPerStationAvg": [1, 2], "sendTime": ["0001-01-01 00:00:00", "9999-12-31 23:00:00"], "car_price": {"feeNo": ["01"], "peakElectricFee": "1e400"}}""")]
    [InlineData("""{"outputPowerPerStationAvg": [1e308, 1e308], "outputPowerPerGunAvg": "x"}""")]
    [InlineData("""{"device_host_dcdc": {"a": 1}, "device_host_acdc": [{"acPower": "x"}, null, {"acPower": "5"}]}""")]
    [InlineData("""{"device_host_dcdc": [{"dcWorkStatus": "01", "dcPower": {"a": 1}}], "outputPowerPerGunAvg": [[1, 2], [3]]}""")]
    public void Odd_input_never_throws(string json) => Should.NotThrow(() => Call(json));
}
