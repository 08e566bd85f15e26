using System.Globalization;
using System.Text.Json;
using Analytics.Actors.Node.Modules;

namespace Analytics.Actors.Tests.Modules;

public class LoadPredictionTests
{
    private static JsonElement? Call(string json) => new LoadPrediction().Call(JsonInput.Of(json), CancellationToken.None).Element();

    private static string Times(string first, int count) => JsonSerializer.Serialize(Enumerable.Range(0, count).Select(hour =>
        DateTime.Parse(first, CultureInfo.InvariantCulture).AddHours(hour).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture)));

    private static string Numbers(int count, double value) => JsonSerializer.Serialize(Enumerable.Repeat(value, count));

    [Fact]
    public void The_result_has_every_documented_member()
    {
        var result = Call($$"""
            {"gridCapacity": 630, "sendTime": {{Times("2023-04-01 00:00:00", 168)}}, "outputPowerPerStationAvg": {{Numbers(168, 12.5)}}}
            """)!.Value;
        result.GetProperty("loadForecast").EnumerateArray().Select(value => value.GetDouble()).ShouldBe(Enumerable.Repeat(12.5, 24));
        var times = result.GetProperty("forecastTime").EnumerateArray().Select(value => value.GetString()).ToList();
        times.Count.ShouldBe(24);
        times[0].ShouldBe("2023-04-08 00:00:00");
        times[23].ShouldBe("2023-04-08 23:00:00");
        result.GetProperty("unit").GetString().ShouldBe("kW");
        result.GetProperty("method").GetString().ShouldBe("analog-day-median/1");
        result.GetProperty("historyHours").GetInt32().ShouldBe(168);
        result.GetProperty("forecastEnergyKwh").GetDouble().ShouldBe(300);
        result.GetProperty("forecastPeakKw").GetDouble().ShouldBe(12.5);
        result.GetProperty("gridCapacityKw").GetDouble().ShouldBe(630);
    }

    [Fact]
    public void Without_a_station_series_the_guns_are_summed_and_missing_ones_add_nothing()
    {
        var result = Call("""
            {"sendTime": ["2023-04-01 00:00:00", "2023-04-01 01:00:00"], "outputPowerPerGunAvg": [[4, null], [3, 1]]}
            """)!.Value;
        result.GetProperty("loadForecast")[0].GetDouble().ShouldBe(4);
        result.GetProperty("gridCapacityKw").ValueKind.ShouldBe(JsonValueKind.Null);
    }

    [Fact]
    public void A_station_series_of_nulls_leaves_the_word_to_the_guns()
    {
        var result = Call("""{"outputPowerPerStationAvg": [null, null], "outputPowerPerGunAvg": [[4, 5], [3, 6]]}""")!.Value;
        result.GetProperty("loadForecast")[0].GetDouble().ShouldBe(9);
    }

    [Fact]
    public void The_calendar_decides_which_days_are_free()
    {
        // 2023-04-03 is a Monday. Its week: 100 on working days, 0 at the weekend, and 50 in every last hour.
        var load = Enumerable.Range(0, 168).Select(hour => hour % 24 == 23 ? 50 : hour / 24 >= 5 ? 0 : 100);
        var grid = $"\"sendTime\": {Times("2023-04-03 00:00:00", 168)}, \"outputPowerPerStationAvg\": {JsonSerializer.Serialize(load)}";
        var working = Call($"{{{grid}}}")!.Value;
        var holiday = Call($"{{{grid}, \"date\": [\"2023-04-10\"], \"isHoliday\": [1], \"isWeekend\": [0]}}")!.Value;
        holiday.GetProperty("forecastEnergyKwh").GetDouble().ShouldBeLessThan(working.GetProperty("forecastEnergyKwh").GetDouble());
    }

    [Fact]
    public void Times_that_cannot_be_read_leave_a_forecast_without_times()
    {
        var result = Call("""{"sendTime": ["x", null], "outputPowerPerStationAvg": [2, 2]}""")!.Value;
        result.GetProperty("forecastTime").ValueKind.ShouldBe(JsonValueKind.Null);
        result.GetProperty("loadForecast").GetArrayLength().ShouldBe(24);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"outputPowerPerStationAvg": null}""")]
    [InlineData("""{"outputPowerPerStationAvg": []}""")]
    [InlineData("""{"outputPowerPerStationAvg": [null]}""")]
    [InlineData("""{"outputPowerPerStationAvg": "x", "outputPowerPerGunAvg": [[], []]}""")]
    [InlineData("""{"outputPowerPerStationAvg": {"a": 1}, "sendTime": 5}""")]
    [InlineData("""{"outputPowerPerStationAvg": [1, 2], "sendTime": ["2023-04-01 00:00:00", "2023-04-01 00:15:00"]}""")]
    public void Without_an_hourly_load_there_is_nothing(string json) => Call(json).ShouldBeNull();

    [Theory]
    [InlineData("""{"outputPowerPerStationAvg": [1e308, 1e308], "gridCapacity": "x"}""")]
    [InlineData("""{"outputPowerPerStationAvg": [1, 2], "sendTime": ["0001-01-01 00:00:00", "0001-01-01 01:00:00"]}""")]
    [InlineData("""{"outputPowerPerStationAvg": [1, 2], "sendTime": ["9999-12-31 22:00:00", "9999-12-31 23:00:00"]}""")]
    [InlineData("""{"outputPowerPerStationAvg": [1, 2], "date": ["\ud800", 5, null, "2023-02-30", {}], "isHoliday": "x", "isWeekend": [[1]]}""")]
    [InlineData("""{"outputPowerPerStationAvg": [-5, 2], "gridCapacity": {"a": [1]}}""")]
    public void Odd_input_never_throws(string json) => Should.NotThrow(() => Call(json));
}
