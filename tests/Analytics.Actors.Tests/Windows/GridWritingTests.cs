using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Windows;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Windows;

/// <summary>What is written of a grid without doubles is what their doubles are written as.</summary>
public class GridWritingTests
{
    private const long NowMs = 1_763_000_000_000, HourMs = 3_600_000;

    private static readonly Gen<double> Decimals =
        from decimals in Gen.Choose(0, 15)
        from digits in Gen.Choose(0, 10)
        from integer in Gen.Choose(0, int.MaxValue)
        from sign in Gen.Elements(1, 1, 1, -1)
        select sign * (long)(integer % Math.Pow(10, digits)) / Math.Pow(10, decimals);

    private static readonly Gen<double> Odd = Gen.Elements(
        0, -0.0, 1, -1, 10, 100, 99_999_999, 100_000_000, -99_999_999, -100_000_000, int.MaxValue, -int.MaxValue, int.MinValue, 0.1, 0.0001, 0.00012, 0.00001, 0.0000001,
        -0.0001, 1e-15, 1e15, 1e300, 0.5, 12.5000, 9999.9999, 0.9999, 1234567.1, 21.4748364, double.NaN);

    /// <summary>Columns of one number of decimals, as stations send them, and others.</summary>
    private static Gen<double[]> Columns(int count) => Gen.OneOf(
        (from decimals in Gen.Choose(0, 9)
         from integers in Gen.Frequency((8, Gen.Choose(0, 999_999)), (2, Gen.Choose(-int.MaxValue, int.MaxValue)), (1, Gen.Choose(-100, 100))).ListOf(count)
         select integers.Select(integer => integer / Math.Pow(10, decimals)).ToArray()),
        Gen.Frequency((6, Decimals), (1, Odd)).ListOf(count).Select(list => list.ToArray()),
        Gen.Frequency((6, Gen.Choose(0, 5_000_000).Select(number => number / 1000.0)), (1, Gen.Constant(double.NaN)), (1, Gen.Constant(0.0))).ListOf(count).Select(list => list.ToArray()));

    [Fact]
    public void A_column_is_written_as_its_doubles_are()
    {
        var column = from width in Gen.Choose(0, 70)
                     from rows in Gen.Choose(0, 12)
                     from keyed in Gen.Elements(true, false)
                     let columns = keyed ? width : 1
                     from values in Columns(columns * rows)
                     from fill in Gen.Elements(FillStrategy.Missing, FillStrategy.Zero, FillStrategy.Forward, FillStrategy.Linear)
                     from least in Gen.Elements(0, 5, 5000)
                     select (columns, rows, keyed, values, fill, least);
        var written = 0;
        Prop.ForAll(column.ToArbitrary(), given =>
        {
            var made = GridColumn.Of((double[])given.values.Clone(), given.columns, null);
            if (!made.IsDecimal) return;
            written++;
            var filled = made.Filled(given.fill);
            var expected = new StringBuilder("[");
            for (var row = 0; row < given.rows; row++)
            {
                if (row > 0) expected.Append(',');
                var numbers = string.Join(',', Enumerable.Range(row * given.columns, given.columns).Select(index => Text(filled.Values[index])));
                expected.Append(given.keyed ? $"[{numbers}]" : numbers);
            }

            var destination = new Portions(given.least);
            made.WriteDecimals(given.rows, given.keyed, made.IsFilledBy(given.fill) ? filled : null, destination);
            Encoding.UTF8.GetString(destination.Written).ShouldBe(expected.Append(']').ToString());
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
        written.ShouldBeGreaterThan(500);
    }

    [Fact]
    public void Numbers_that_are_written_differ_by_nothing_from_their_doubles()
    {
        for (var decimals = 0; decimals <= GridNumber.DecimalsMax; decimals++)
        {
            int[] integers = [0, .. Enumerable.Range(0, 10).SelectMany(power => new[] { -1, 0, 1 }.Select(step => (int)Math.Pow(10, power) + step)), 120, 1_200_300, int.MaxValue];
            integers = [.. integers, .. integers.Select(integer => -integer)];
            foreach (var some in integers.Chunk(DecimalText.NumbersMax))
            {
                var bytes = new byte[some.Length * DecimalText.Room];
                var length = new DecimalText(decimals).Write(some, int.MinValue, default, bytes);
                Encoding.UTF8.GetString(bytes, 0, length - 1).ShouldBe(string.Join(',', some.Select(integer => Text(integer / GridNumber.PowerOf(decimals)))));
            }
        }
    }

    /// <summary>A whole input: what is written, what is asked for by name, what is read as numbers, and what was written before.</summary>
    [Fact]
    public void An_input_with_a_grid_is_written_as_its_members_are()
    {
        var number = Gen.Frequency((8, Decimals), (1, Odd.Where(double.IsFinite))).Select(Text);
        var texts = Gen.Frequency((20, number), (1, Gen.Elements("null", "9007199254740993", "0.10000000000000000555", "1.50", "1e400", "-0", "1E2")));
        var row = from hour in Gen.Choose(0, 13) from guns in Gen.Choose(0, 3) from numbers in texts.ListOf(8) select Row(hour, guns, [.. numbers]);
        Prop.ForAll(row.ListOf(10).ToArbitrary(), Gen.Elements(Enum.GetValues<FillStrategy>()).ToArbitrary(), Gen.Elements(null, "under").ToArbitrary(), (rows, fill, member) =>
        {
            var window = DefaultTopics.Window(DefaultTopics.All[DefaultTopics.Realtime] with { Window = 12, Fill = fill, ShapeMember = member });
            window.Apply(DefaultTopics.Items([.. rows]), NowMs, NowMs);
            if (window.Shape() is not { } fragment) return;
            var quality = new DataQuality { AvailableTopics = ["T"], MissingTopics = [], FailedTopics = [], TotalTopics = 1, AgeSeconds = [], Overwritten = [] };
            var input = new ModuleInput("S\u00E41\"", NowMs, [new TopicFragment("T", fragment), new TopicFragment("U", new JsonFragment(["m\u00FC"], ["[1, 2]"u8.ToArray()]))], quality);
            var json = input.ToJson();
            Encoding.UTF8.GetString(json).ShouldBe(Encoding.UTF8.GetString(Plainly(input)));
            var read = JsonNode.Parse(json)!;
            foreach (var name in fragment.Names)
            {
                var destination = new ArrayBufferWriter<byte>();
                fragment.WriteJson(name, destination);
                destination.WrittenSpan.ToArray().ShouldBe(fragment.GetJson(name).ToArray());
                if (!fragment.TryGetSeries(name, out var series)) continue;
                var flat = read[name]!.AsArray().SelectMany(element => element is JsonArray list ? list.ToArray() : [element]).ToList();
                flat.Count.ShouldBe(series.Values.Length);
                // Beyond the doubles a text has the value of none.
                for (var i = 0; i < flat.Count; i++)
                    (flat[i] is null ? double.NaN : double.Parse(flat[i]!.ToJsonString(), CultureInfo.InvariantCulture)).ShouldBe(series.Values.Span[i]);
            }

            fragment.WriteJson("no such member", new Portions(0));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
    }

    [Fact]
    public void Times_one_after_the_other_are_written_as_each_alone()
    {
        Span<byte> text = stackalloc byte[19];
        var day = -1L;
        var random = new System.Random(5);
        for (var i = 0; i < 2000; i++)
        {
            // Some are of the same day, one is beyond the calendar.
            var localMs = i == 1000 ? long.MaxValue : (random.NextInt64(-60_000, 250_000) * 86_400_000) + random.NextInt64(86_400_000);
            foreach (var time in new[] { localMs, localMs == long.MaxValue ? localMs - 1 : localMs + HourMs })
            {
                EventTime.FormatLocal(time, false, text, ref day);
                var expected = time > long.MaxValue / 2 ? DateTime.MaxValue : DateTime.UnixEpoch.AddMilliseconds(time);
                Encoding.UTF8.GetString(text).ShouldBe(expected.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture));
            }
        }
    }

    private static string Text(double value) => double.IsNaN(value) ? "null" : value.ToString(CultureInfo.InvariantCulture);

    private static string Row(int hour, int guns, string[] numbers) =>
        $$"""{"stationId":"S1","sendTime":"2025-11-04 {{hour:00}}:00:00","gunPower":{"gunNo":[{{string.Join(',', Enumerable.Range(1, guns).Select(gun => $"\"0{gun}\""))}}],"outputPowerPerGunAvg":[{{string.Join(',', numbers.Take(guns))}}],"outputPowerPerGunMax":[{{string.Join(',', numbers.Skip(3).Take(guns))}}]},"outputPowerPerStationAvg":{{numbers[6]}},"outputPowerPerStationMax":{{numbers[7]}}}""";

    /// <summary>The input member by member through one JSON writer.</summary>
    private static byte[] Plainly(ModuleInput input)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("stationId", input.Station);
            foreach (var name in input.Names)
            {
                writer.WritePropertyName(name);
                writer.WriteRawValue(input.GetJson(name).Span, skipInputValidation: true);
            }

            writer.WriteStartObject("_data_quality");
            writer.WriteStartArray("available_topics");
            foreach (var topic in input.Quality.AvailableTopics) writer.WriteStringValue(topic);
            writer.WriteEndArray();
            foreach (var (name, isList) in new[] { ("missing_topics", true), ("failed_topics", false) }) WriteEmpty(writer, name, isList);
            writer.WriteNumber("total_topics", input.Quality.TotalTopics);
            writer.WriteNumber("availability_ratio", input.Quality.AvailabilityRatio);
            WriteEmpty(writer, "age_seconds", false);
            WriteEmpty(writer, "overwritten", true);
            writer.WriteEndObject();
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteEmpty(Utf8JsonWriter writer, string name, bool isList)
    {
        writer.WritePropertyName(name);
        writer.WriteRawValue(isList ? "[]" : "{}");
    }

    /// <summary>Gives no more room than it is asked for, and a little more where told so.</summary>
    private sealed class Portions(int more) : IBufferWriter<byte>
    {
        private readonly List<byte> written = [];
        private byte[] portion = [];

        public byte[] Written => [.. written];

        public void Advance(int count) => written.AddRange(portion.AsSpan(0, count));

        public Memory<byte> GetMemory(int sizeHint = 0) => portion = new byte[Math.Max(1, sizeHint + more)];

        public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;
    }
}
