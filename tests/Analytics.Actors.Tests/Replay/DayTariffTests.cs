using System.Globalization;
using System.Text.Json;
using Analytics.Actors.Node.Replay;

namespace Analytics.Actors.Tests.Replay;

public class DayTariffTests
{
    private static JsonElement Write(IReadOnlyList<string> hourly)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
        {
            writer.WriteStartObject();
            DayTariff.Write(writer, hourly);
            writer.WriteEndObject();
        }

        return JsonDocument.Parse(stream.ToArray()).RootElement;
    }

    [Theory]
    [InlineData("0.30", "02", "flat")]
    [InlineData("0.30 0.1", "01 03", "peak ebb")]
    [InlineData("0.2 0.30 0.1", "02 01 03", "flat peak ebb")]
    [InlineData("4 1 3 2", "00 03 01 02", "sharp ebb peak flat")]
    [InlineData("5 4 3 2 1", "00 01 02 03 04", "sharp peak flat ebb other")]
    public void Up_to_five_prices_are_kept_as_written(string prices, string codes, string kinds)
    {
        var price = prices.Split(' ');
        var code = codes.Split(' ');
        var kind = kinds.Split(' ');
        var hourly = Enumerable.Range(0, 24).Select(hour => price[hour % price.Length]).ToList();
        var tariff = Write(hourly);
        for (var position = 0; position < 48; position++)
            tariff.GetProperty($"feeNo{position + 1}").GetString().ShouldBe(code[position / 2 % price.Length]);
        for (var i = 0; i < kind.Length; i++) tariff.GetProperty(kind[i] + "ElectricFee").GetRawText().ShouldBe(price[i]);
        tariff.EnumerateObject().Count(member => member.Name.EndsWith("ElectricFee", StringComparison.Ordinal)).ShouldBe(price.Length);
    }

    [Fact]
    public void More_prices_are_cut_at_the_widest_gaps_and_a_group_takes_its_lower_median()
    {
        // 1.0 to 1.9 by tenths, 3.0 to 3.3, 5, 7.0 to 7.2, 9 six times: gaps of 1.1, 1.7, 2 and 1.8 cut five groups.
        string[] prices = ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9", "3.0", "3.1", "3.2", "3.3", "5", "7.0", "7.1", "7.2", "9", "9", "9", "9", "9", "9"];
        var tariff = Write(prices);
        tariff.GetProperty("otherElectricFee").GetRawText().ShouldBe("1.4");
        tariff.GetProperty("ebbElectricFee").GetRawText().ShouldBe("3.1");
        tariff.GetProperty("flatElectricFee").GetRawText().ShouldBe("5");
        tariff.GetProperty("peakElectricFee").GetRawText().ShouldBe("7.1");
        tariff.GetProperty("sharpElectricFee").GetRawText().ShouldBe("9");
        tariff.GetProperty("feeNo20").GetString().ShouldBe("04");
        tariff.GetProperty("feeNo21").GetString().ShouldBe("03");
        tariff.GetProperty("feeNo48").GetString().ShouldBe("00");
        tariff.GetProperty("sharpServerFee").GetInt32().ShouldBe(0);
    }

    [Fact]
    public void Equal_prices_written_differently_are_one()
    {
        DayTariff.Group([.. Enumerable.Range(0, 24).Select(hour => hour % 2 == 0 ? "0.3" : "0.30")]).Count.ShouldBe(1);
    }

    [Fact]
    public void Every_hour_finds_the_kind_whose_group_holds_its_price()
    {
        var hourly = Enumerable.Range(0, 24).Select(hour => (hour * 7 % 24 * 0.013).ToString(CultureInfo.InvariantCulture)).ToList();
        var groups = DayTariff.Group(hourly);
        groups.Count.ShouldBe(5);
        groups.Select(group => group.Lowest).ShouldBeInOrder(SortDirection.Descending);
        groups[^1].Lowest.ShouldBe(0);
    }
}
