using System.Text;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Windows;

/// <summary>Fills as SPEC.md says (section 2), for JSON values and for columns of numbers.</summary>
public class FillTests
{
    private static readonly Gen<string> Value = Gen.Elements("1", "-2.5", "10", "0", "null", "\"a\"", "true", "[1,2]", "1e400", "9007199254740993");
    private static readonly Gen<FillStrategy> Strategy = Gen.Elements(Enum.GetValues<FillStrategy>());

    [Theory]
    [InlineData(FillStrategy.Zero, "[null,1,null,4,null]", "[0,1,0,4,0]")]
    [InlineData(FillStrategy.Forward, "[null,1,null,4,null]", "[1,1,1,4,4]")]
    [InlineData(FillStrategy.Linear, "[null,1,null,null,4,null]", "[1,1,2,3,4,4]")]
    [InlineData(FillStrategy.Missing, "[null,1,null,4,null]", "[null,1,null,4,null]")]
    [InlineData(FillStrategy.Linear, "[1,null,\"x\",null,3]", "[1,1,\"x\",\"x\",3]")]
    [InlineData(FillStrategy.Linear, "[1,null,true]", "[1,1,true]")]
    [InlineData(FillStrategy.Linear, "[null,null]", "[null,null]")]
    [InlineData(FillStrategy.Linear, "[]", "[]")]
    public void Holes_are_filled(FillStrategy strategy, string sequence, string expected) => Filled(sequence, [], strategy).ShouldBe(expected);

    [Fact]
    public void Linear_goes_by_time_where_times_are_known()
    {
        Filled("[0,null,10]", [0, 1_000, 10_000], FillStrategy.Linear).ShouldBe("[0,1,10]");
        // Times that do not ascend say nothing.
        Filled("[0,null,10]", [0, 20_000, 10_000], FillStrategy.Linear).ShouldBe("[0,5,10]");
    }

    [Fact]
    public void A_fill_never_changes_a_known_value_and_gives_the_length_asked_for()
    {
        var length = Gen.Choose(0, 12);
        Prop.ForAll(Value.ArrayOf().ToArbitrary(), Strategy.ToArbitrary(), length.ToArbitrary(), (values, strategy, asked) =>
        {
            var filled = Fill.Pad(values.Select(DefaultTopics.Bytes).ToArray(), [], asked, strategy);
            filled.Length.ShouldBe(asked);
            var kept = Math.Min(asked, values.Length);
            var known = values.TakeLast(kept).Any(value => value != "null");
            for (var i = 0; i < asked; i++)
            {
                var text = Encoding.UTF8.GetString(filled[i].Span);
                var given = i < asked - kept ? "null" : values[values.Length - asked + i];
                if (given != "null") text.ShouldBe(given);
                // Every hole is filled, if there is anything to fill it with.
                else (text == "null").ShouldBe(strategy == FillStrategy.Missing || (strategy != FillStrategy.Zero && !known));
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Columns_of_numbers_are_filled_like_lists_of_numbers()
    {
        var number = Gen.Elements(double.NaN, 0, 1, -2.5, 1e300, -1e300, double.MaxValue, double.MinValue, 3);
        Prop.ForAll(number.ArrayOf().ToArbitrary(), Strategy.ToArbitrary(), (values, strategy) =>
        {
            // As the second of three columns, so that the others would show a wrong stride.
            var table = values.SelectMany(value => new[] { 7.0, value, double.NaN }).ToArray();
            var column = GridColumn.Of(table, 3, null).Filled(strategy);
            var json = values.Select(value => double.IsNaN(value) ? "null" : value.ToString("R", System.Globalization.CultureInfo.InvariantCulture));
            var list = Fill.Pad(json.Select(DefaultTopics.Bytes).ToArray(), [], values.Length, strategy);
            for (var i = 0; i < values.Length; i++)
            {
                column.Values[i * 3].ShouldBe(7.0);
                var text = Encoding.UTF8.GetString(list[i].Span);
                var expected = text == "null" ? double.NaN : double.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
                column.Values[i * 3 + 1].ShouldBe(expected);
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void An_interpolated_value_lies_between_its_neighbours()
    {
        var number = Gen.Choose(-1_000_000, 1_000_000).Select(value => value / 997.0);
        Prop.ForAll(number.ToArbitrary(), number.ToArbitrary(), Gen.Choose(1, 9).ToArbitrary(), (first, last, holes) =>
        {
            var values = new double[holes + 2];
            Array.Fill(values, double.NaN);
            (values[0], values[^1]) = (first, last);
            var filled = GridColumn.Of(values, 1, null).Filled(FillStrategy.Linear).Values;
            for (var i = 1; i < filled.Length; i++)
                (first <= last ? filled[i - 1] <= filled[i] : filled[i - 1] >= filled[i]).ShouldBeTrue();
            return filled[0] == first && filled[^1] == last;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_column_without_holes_is_not_copied()
    {
        double[] values = [1.0 / 3, Math.PI, 3];
        GridColumn.Of(values, 1, null).Filled(FillStrategy.Linear).Values.ShouldBeSameAs(values);
        values = [1.0 / 3, double.NaN];
        var holes = GridColumn.Of(values, 1, null);
        holes.Filled(FillStrategy.Missing).Values.ShouldBeSameAs(values);
        holes.Filled(FillStrategy.Zero).Values.ShouldBe([1.0 / 3, 0]);
        holes[1].ShouldBe(double.NaN);
    }

    private static string Filled(string sequence, long[] times, FillStrategy strategy)
    {
        var bytes = DefaultTopics.Bytes(sequence);
        var values = JsonList.Elements(bytes.Span).Select(slice => slice.Of(bytes)).ToArray();
        Fill.Values(values, times, strategy);
        return $"[{string.Join(',', values.Select(value => Encoding.UTF8.GetString(value.Span)))}]";
    }
}
