using System.Text;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Tests.Windows;

public class FragmentTests
{
    [Theory]
    [InlineData("[1,2.5,null]", 3, 1)]
    [InlineData("[]", 0, 1)]
    [InlineData("[[1,2],[3,null]]", 2, 2)]
    [InlineData("[[],[]]", 2, 0)]
    public void Lists_of_numbers_are_series(string json, int rows, int columns)
    {
        var fragment = Fragment(json);
        fragment.TryGetSeries("m", out var series).ShouldBeTrue();
        (series.Rows, series.Columns, series.Values.Length).ShouldBe((rows, columns, rows * columns));
    }

    [Fact]
    public void A_series_has_the_numbers_of_its_list()
    {
        Fragment("[[1,2],[3,null]]").TryGetSeries("m", out var series).ShouldBeTrue();
        series.Values.ToArray().ShouldBe([1, 2, 3, double.NaN]);
        series[1, 0].ShouldBe(3);
        series.Row(0).ToArray().ShouldBe([1, 2]);
    }

    [Theory]
    [InlineData("1")]
    [InlineData("null")]
    [InlineData("\"[1]\"")]
    [InlineData("{}")]
    [InlineData("[\"1\"]")]
    [InlineData("[true]")]
    [InlineData("[[1],[1,2]]")]
    [InlineData("[1,[2]]")]
    [InlineData("[[1],2]")]
    [InlineData("[[1],null]")]
    [InlineData("[[[1]]]")]
    [InlineData("[1,{}]")]
    public void Anything_else_is_no_series(string json) => Fragment(json).TryGetSeries("m", out _).ShouldBeFalse();

    [Fact]
    public void A_member_that_is_not_there_is_empty()
    {
        var fragment = Fragment("1");
        fragment.GetJson("other").IsEmpty.ShouldBeTrue();
        fragment.TryGetSeries("other", out _).ShouldBeFalse();
    }

    [Fact]
    public void A_fragment_comes_back_from_its_json()
    {
        const string json = """{"a":1.50,"站":"x\"y","quo\"te\n":[1, 2],"n":null}""";
        var fragment = JsonFragment.Parse(DefaultTopics.Bytes(json));
        fragment.Names.ShouldBe(["a", "站", "quo\"te\n", "n"]);
        Encoding.UTF8.GetString(fragment.GetJson("quo\"te\n").Span).ShouldBe("[1, 2]");
        Encoding.UTF8.GetString(fragment.ToJsonObject()).ShouldBe(json);
        JsonFragment.Parse(DefaultTopics.Bytes("{}")).Names.ShouldBeEmpty();
    }

    [Fact]
    public void Of_a_member_written_twice_the_last_one_counts()
    {
        JsonFragment.Parse(DefaultTopics.Bytes("""{"a":1,"b":2,"a":3}""")).ToJsonObject().ShouldBe("""{"a":3,"b":2}"""u8.ToArray());
        var many = string.Join(',', Enumerable.Range(0, 100).Select(i => $"\"m{i % 50}\":{i}"));
        var fragment = JsonFragment.Parse(DefaultTopics.Bytes($"{{{many}}}"));
        fragment.Names.Count.ShouldBe(50);
        Encoding.UTF8.GetString(fragment.GetJson("m7").Span).ShouldBe("57");
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"a\":1")]
    [InlineData("{\"a\":1}x")]
    [InlineData("{\"\\ud800\":1}")]
    public void What_is_no_object_is_refused(string json) => Should.Throw<FormatException>(() => JsonFragment.Parse(DefaultTopics.Bytes(json)));

    [Fact]
    public void A_grids_json_is_made_once_and_is_the_same_for_all_who_ask()
    {
        var window = DefaultTopics.Window(DefaultTopics.Realtime);
        window.Apply([DefaultTopics.Bytes(Records.SampleRecords.Item(DefaultTopics.Realtime))], 0, 1_800_000_000_000);
        var shape = window.Shape()!;
        var asked = new ReadOnlyMemory<byte>[8];
        Parallel.For(0, asked.Length, i => asked[i] = shape.GetJson("outputPowerPerGunAvg"));
        foreach (var json in asked) json.Span.SequenceEqual(asked[0].Span).ShouldBeTrue();
        shape.GetJson("outputPowerPerGunAvg").Equals(shape.GetJson("outputPowerPerGunAvg")).ShouldBeTrue();
        var copy = JsonFragment.Parse(shape.ToJsonObject());
        foreach (var name in shape.Names) copy.GetJson(name).Span.SequenceEqual(shape.GetJson(name).Span).ShouldBeTrue(name);
    }

    private static JsonFragment Fragment(string json) => new(["m"], [DefaultTopics.Bytes(json)]);
}
