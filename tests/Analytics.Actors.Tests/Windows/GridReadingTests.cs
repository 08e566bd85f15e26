using System.Globalization;
using System.Text;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Windows;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Windows;

/// <summary>The ways on which a push gets into a grid quickly say what the general ones say.</summary>
public class GridReadingTests
{
    private const long NowMs = 1_763_000_000_000;
    private static readonly TopicConfiguration Realtime = DefaultTopics.All[DefaultTopics.Realtime] with { Window = 12 };

    private static readonly Gen<string> Numbers = Gen.OneOf(
        Gen.Elements("0", "-0", "-0.0", "0.0", "1", "-1", "12.5", "-12.50", "100000000000000", "99999.999999999", "999999999999999", "9999999999999999", "0.1234567890123",
            "9007199254740993", "0.10000000000000000555", "1e3", "1.5E-7", "1e400", "-1e-400", "2147483647", "2147483648", "-2147483648", "214748364.75", "123456789012345678901234567890"),
        from digits in Gen.Choose(0, int.MaxValue)
        from decimals in Gen.Choose(0, 9)
        from sign in Gen.Elements("", "-")
        select sign + (digits / Math.Pow(10, decimals)).ToString("F" + decimals, CultureInfo.InvariantCulture),
        ArbMap.Default.GeneratorFor<double>().Where(double.IsFinite).Select(value => value.ToString("R", CultureInfo.InvariantCulture)));

    [Fact]
    public void A_number_read_quickly_is_the_number()
    {
        var noise = Gen.Elements("", "0", "-", "+", ".", "e5", "E", "x", ",", " ", "00", ".5");
        var texts = from before in noise from number in Numbers from after in noise select before + number + after;
        Prop.ForAll(Gen.OneOf(Numbers, texts).ToArbitrary(), text =>
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            var end = GridNumber.TryRead(bytes, 0, out var number);
            if (end < 0) return;
            // What was read is JSON, and the reader says the same of it.
            PlainJson.Value(bytes, 0, 0).ShouldBe(end);
            var value = JsonText.ReadNumber(bytes.AsSpan(0, end), out var exact);
            exact.ShouldBeTrue(text);
            BitConverter.DoubleToInt64Bits(number.Value).ShouldBe(BitConverter.DoubleToInt64Bits(value), text);
            number.IsHole.ShouldBeFalse();
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(5000));
    }

    [Fact]
    public void Integers_in_a_column_give_the_doubles_again_that_were_put_in()
    {
        var value = Gen.Frequency((6, Gen.Choose(-3_000_000, 3_000_000).Select(number => number / 1000.0)), (1, Gen.Constant(double.NaN)),
            (1, Numbers.Select(text => double.Parse(text, CultureInfo.InvariantCulture)).Where(double.IsFinite)), (1, Gen.Elements(0.0, -0.0, int.MaxValue, -int.MaxValue, int.MinValue, 1e-15, 1e-16)));
        var usual = Gen.Choose(0, 1_000_000).Select(number => number / 10_000.0);
        Prop.ForAll(Gen.OneOf(value.ArrayOf(), usual.ArrayOf()).ToArbitrary(), values =>
        {
            var column = GridColumn.Of((double[])values.Clone(), 1, null);
            var copied = new double[values.Length];
            column.CopyTo(0, copied);
            var numbers = Enumerable.Range(0, values.Length).Select(column.Number).ToArray();
            var same = GridColumn.Of(numbers, 1, null);
            same.SizeBytes.ShouldBe(column.SizeBytes, "what is held does not depend on the way on which it came");
            for (var i = 0; i < values.Length; i++)
            {
                var bits = BitConverter.DoubleToInt64Bits(values[i]);
                BitConverter.DoubleToInt64Bits(column[i]).ShouldBe(bits);
                BitConverter.DoubleToInt64Bits(copied[i]).ShouldBe(bits);
                BitConverter.DoubleToInt64Bits(same[i]).ShouldBe(bits);
            }

            column.HasHole().ShouldBe(values.Any(double.IsNaN));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }

    [Fact]
    public void Decimals_of_a_few_digits_take_four_bytes_each()
    {
        GridColumn.Of([12.5, 0.125, -3, double.NaN], 1, null).SizeBytes.ShouldBe(16);
        GridColumn.Of([1.0 / 3], 1, null).SizeBytes.ShouldBe(8);
    }

    /// <summary>Rows of one push as they usually come, with one here and there that differs in some way.</summary>
    [Fact]
    public void Rows_read_by_the_layout_of_the_last_one_are_the_rows()
    {
        var row = from hour in Gen.Choose(0, 15)
                  from guns in Gen.Frequency((8, Gen.Constant(3)), (1, Gen.Choose(0, 4)))
                  from odd in Gen.Frequency((12, Gen.Constant(0)), (10, Gen.Choose(1, 24)))
                  from numbers in Numbers.ListOf(11)
                  select Row(hour, guns, odd, [.. numbers]);
        var mutation = from at in Gen.Choose(0, 300) from value in Gen.Elements('"', ',', '[', ']', '{', '}', '0', '9', '-', '.', ' ', '\\', 'n', '\u0001') select (at, value);
        var mutated = from text in row from change in mutation select Mutate(text, change.at, change.value);
        Prop.ForAll(Gen.Frequency((10, row), (1, mutated)).ArrayOf().ToArbitrary(), Gen.Elements(UpdateMode.Replace, UpdateMode.Append).ToArbitrary(), (rows, mode) =>
        {
            var topic = Realtime with { Mode = mode };
            var plan = WindowPlan.For(topic);
            var together = new GridRows(plan);
            var each = new GridRows(plan);
            foreach (var text in rows)
            {
                var item = Encoding.UTF8.GetBytes(text);
                var learnt = together.Read(item, DefaultTopics.Zone, NowMs);
                // Alone every row is the first one, so that there is no layout to read it by.
                var alone = new GridRows(plan);
                alone.Read(item, DefaultTopics.Zone, NowMs).ShouldBe(learnt, text);
                Describe(together, last: true).ShouldBe(learnt is null ? Describe(alone, last: true) : Describe(each, last: true), text);
                if (learnt is null) each = alone;
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }

    /// <summary>A time may be a number of one digit: what follows it is a text of which one byte is no text.</summary>
    [Fact]
    public void A_row_with_a_time_in_quotes_behind_one_whose_time_is_one_digit_is_read()
    {
        var rows = new GridRows(WindowPlan.For(Realtime));
        foreach (var time in new[] { "5", "\"2025-11-04 10:00:00\"", "7" })
        {
            var text = $$"""{"stationId":"S1","sendTime":{{time}},"gunPower":{"gunNo":["01"],"outputPowerPerGunAvg":[1],"outputPowerPerGunMax":[2]} }""";
            rows.Read(Encoding.UTF8.GetBytes(text), DefaultTopics.Zone, NowMs).ShouldBeNull(text);
        }

        rows.Rows.Length.ShouldBe(3);
    }

    /// <summary>Numbers of guns may be shown as a series too: then they are no text that stands before a value.</summary>
    [Fact]
    public void Keys_that_are_a_series_as_well_are_those_of_their_own_row()
    {
        var grid = Realtime.Grid!;
        var series = grid.KeyedSeries[0] with { Name = "numbers", Source = grid.Keys! };
        var rows = new GridRows(WindowPlan.For(Realtime with { Grid = grid with { KeyedSeries = [series], RowSeries = [] } }));
        foreach (var keys in new[] { "1,2", "3,4" })
        {
            var text = $$"""{"stationId":"S1","sendTime":"2025-11-04 10:00:00","gunPower":{"gunNo":[{{keys}}]} }""";
            rows.Read(Encoding.UTF8.GetBytes(text), DefaultTopics.Zone, NowMs).ShouldBeNull(text);
        }

        rows.Rows[0].Keys.ShouldBe([0, 1]);
        rows.Rows[1].Keys.ShouldBe([2, 3]);
    }

    private static string Describe(GridRows rows, bool last)
    {
        if (rows.Rows.IsEmpty) return "none";
        var row = rows.Rows[^1];
        var text = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"{row.LocalMs} {row.WithT} {string.Join(' ', row.Keys.Select(key => Encoding.UTF8.GetString(rows.Keys.Spelling(key))))}:"));
        for (var i = row.Start; i < rows.Numbers.Length; i++)
        {
            text.Append(' ').Append(BitConverter.DoubleToInt64Bits(rows.Numbers[i].Value));
            if (rows.Exact?.GetValueOrDefault(i) is { } exact) text.Append('=').Append(Encoding.UTF8.GetString(exact));
        }

        return text.ToString();
    }

    private static string Row(int hour, int guns, int odd, string[] numbers)
    {
        var time = $"\"2025-11-04{(odd == 1 ? 'T' : ' ')}{hour:00}:{(odd == 2 ? 30 : 0):00}:00{(odd == 3 ? "Z" : "")}\"";
        if (odd == 4) time = "\"no time\"";
        if (odd == 5) time = "\"2025-11-04 \\u0030" + (hour % 10) + ":00:00\"";
        if (odd == 6) time = "1762214400";
        var keys = string.Join(odd == 7 ? " ,\n" : ",", Enumerable.Range(odd == 8 ? 2 : 1, guns).Select(gun => odd == 9 ? $"{gun}" : $"\"0{gun}\""));
        if (odd == 10) (numbers[0], numbers[5]) = ("null", "null");
        if (odd == 11) numbers[1] = "\"1\"";
        var average = string.Join(odd == 12 ? ", " : ",", numbers.Take(odd == 13 ? guns + 1 : guns));
        var peak = odd == 14 ? "null" : $"[{string.Join(',', numbers.Skip(5).Take(guns))}]";
        var gunPower = odd == 15
            ? $$"""{"outputPowerPerGunMax":{{peak}},"gunNo":[{{keys}}],"outputPowerPerGunAvg":[{{average}}]}"""
            : $$"""{"gunNo":[{{keys}}],"outputPowerPerGunAvg":[{{average}}],"outputPowerPerGunMax":{{peak}}}""";
        var station = odd switch
        {
            16 => "",
            17 => ",\"outputPowerPerStationAvg\":null",
            18 => $",\"outputPowerPerStationAvg\":{numbers[9]}",
            19 => $",\"outputPowerPerStationMax\":{numbers[10]},\"outputPowerPerStationAvg\":{numbers[9]}",
            20 => $",\"outputPowerPerStationAvg\":{numbers[8]},\"outputPowerPerStationAvg\":{numbers[9]}",
            21 => ",\"gunPower\":{}",
            22 => ",\"outputPowerPerStationAvg\":[1]",
            _ => $",\"outputPowerPerStationAvg\":{numbers[9]},\"outputPowerPerStationMax\":{numbers[10]}",
        };
        return $$"""{"stationId":"{{(odd == 23 ? "S2" : "S1")}}","sendTime":{{time}},"gunPower":{{gunPower}}{{station}}}{{(odd == 24 ? " " : "")}}""";
    }

    private static string Mutate(string text, int at, char value) => text[..(at % text.Length)] + value + text[(at % text.Length + 1)..];
}
