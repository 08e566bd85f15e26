using System.Text;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Tests.Records;

public class EventTimeTests
{
    private static readonly TimeSpan Zone = TimeSpan.FromHours(8);

    [Theory]
    [InlineData("\"2025-11-04 03:20:00\"", "2025-11-03T19:20:00Z")]
    [InlineData("\"2025-11-04T03:20:00\"", "2025-11-03T19:20:00Z")]
    [InlineData("\"2025-11-04 03:20\"", "2025-11-03T19:20:00Z")]
    [InlineData("\"2025-11-04\"", "2025-11-03T16:00:00Z")]
    [InlineData("\"2025-11-04 03:20:00.125\"", "2025-11-03T19:20:00.125Z")]
    [InlineData("\"2025-11-04 03:20:00.1259999\"", "2025-11-03T19:20:00.125Z")]
    [InlineData("\"2025-11-04 03:20:00.5\"", "2025-11-03T19:20:00.5Z")]
    [InlineData("\"2025-11-04T03:20:00Z\"", "2025-11-04T03:20:00Z")]
    [InlineData("\"2025-11-04T03:20:00.25z\"", "2025-11-04T03:20:00.25Z")]
    [InlineData("\"2025-11-04T03:20:00+02:00\"", "2025-11-04T01:20:00Z")]
    [InlineData("\"2025-11-04T03:20:00-0330\"", "2025-11-04T06:50:00Z")]
    [InlineData("\"2025-11-04 03:20:00 +08\"", "2025-11-03T19:20:00Z")]
    [InlineData("\" 2025-11-04 03:20:00 \"", "2025-11-03T19:20:00Z")]
    [InlineData("\"2025-11-04\\u002003:20:00\"", "2025-11-03T19:20:00Z")]
    [InlineData("\"1969-12-31 23:59:59\"", "1969-12-31T15:59:59Z")]
    [InlineData("\"2024-02-29 00:00:00\"", "2024-02-28T16:00:00Z")]
    [InlineData("1762198800", "2025-11-03T19:40:00Z")]
    [InlineData("1762198800.5", "2025-11-03T19:40:00.5Z")]
    [InlineData("1762198800123", "2025-11-03T19:40:00.123Z")]
    public void Times_are_read(string json, string expected)
    {
        EventTime.TryRead(Encoding.UTF8.GetBytes(json), Zone, out var timeMs).ShouldBeTrue();
        DateTimeOffset.FromUnixTimeMilliseconds(timeMs).ShouldBe(DateTimeOffset.Parse(expected, System.Globalization.CultureInfo.InvariantCulture));
    }

    [Theory]
    [InlineData("")]
    [InlineData("\"")]
    [InlineData("\"\"")]
    [InlineData("\"zzz\"")]
    [InlineData("\"2025-11-04 24:00:00\"")]
    [InlineData("\"2025-11-04 03:60:00\"")]
    [InlineData("\"2025-11-04 03:20:60\"")]
    [InlineData("\"2025-02-29 00:00:00\"")]
    [InlineData("\"2025-13-01 00:00:00\"")]
    [InlineData("\"0000-01-01 00:00:00\"")]
    [InlineData("\"2025-11-04 03:20:00.\"")]
    [InlineData("\"2025-11-04 03:20:00 x\"")]
    [InlineData("\"2025-11-04T03:20:00+99:00\"")]
    [InlineData("\"2025-11-04 03\"")]
    [InlineData("\"\\ud800\"")]
    [InlineData("\"1762198800\"")]
    [InlineData("0")]
    [InlineData("-5")]
    [InlineData("1e400")]
    [InlineData("99999999999999999999")]
    [InlineData("null")]
    [InlineData("true")]
    [InlineData("[]")]
    [InlineData("{}")]
    public void What_is_no_time_is_refused(string json) => EventTime.TryRead(Encoding.UTF8.GetBytes(json), Zone, out _).ShouldBeFalse();

    [Fact]
    public void The_usual_spelling_is_read_like_any_other()
    {
        var read = 0;
        for (var seed = 0; seed < 20_000; seed++)
        {
            var random = new Random(seed);
            var text = string.Create(System.Globalization.CultureInfo.InvariantCulture,
                $"{random.Next(2) * random.Next(9999):0000}-{random.Next(14):00}-{random.Next(33):00}{" T"[random.Next(2)]}{random.Next(25):00}:{random.Next(61):00}:{random.Next(61):00}").ToCharArray();
            if (random.Next(3) == 0) text[random.Next(text.Length)] = "0:-T /Aé+"[random.Next(9)];
            var usual = Encoding.UTF8.GetBytes($"\"{new string(text)}\"");
            // A blank behind a time is passed over.
            var other = Encoding.UTF8.GetBytes($"\"{new string(text)} \"");
            var isRead = EventTime.TryReadLocal(usual, Zone, out var localMs, out var withT);
            EventTime.TryReadLocal(other, Zone, out var otherMs, out var otherWithT).ShouldBe(isRead, new string(text));
            if (!isRead) continue;
            (localMs, withT).ShouldBe((otherMs, otherWithT), new string(text));
            read++;
        }

        read.ShouldBeGreaterThan(5_000);
        foreach (var number in new[] { "1762198800123", "0100000000000", "0099999999999", "1000000000000", "9999999999999", "-762198800123", "17621988001.5", "1762198800e03", "+762198800123" })
        {
            var isNumber = decimal.TryParse(number, System.Globalization.NumberStyles.Float, System.Globalization.CultureInfo.InvariantCulture, out var value);
            EventTime.TryRead(Encoding.UTF8.GetBytes(number), TimeSpan.Zero, out var timeMs).ShouldBe(isNumber && value > 0, number);
            if (isNumber && value > 0) timeMs.ShouldBe((long)(value < 100_000_000_000 ? value * 1000 : value), number);
        }
    }

    [Fact]
    public void A_time_cut_anywhere_never_throws()
    {
        var text = Encoding.UTF8.GetBytes("\"2025-11-04T03:20:00.123+08:00\"");
        for (var start = 0; start < text.Length; start++)
            for (var end = start; end <= text.Length; end++)
                EventTime.TryRead(text.AsSpan(start..end), Zone, out _);
    }

    [Fact]
    public void A_clocks_time_is_written_as_it_was_read()
    {
        Span<byte> text = stackalloc byte[19];
        foreach (var written in new[] { "2025-11-04 03:20:01", "0001-01-01 00:00:00", "9999-12-31 23:59:59" })
        {
            EventTime.TryReadLocal(Encoding.UTF8.GetBytes($"\"{written}\""), Zone, out var localMs, out var withT).ShouldBeTrue();
            EventTime.FormatLocal(localMs, withT, text);
            Encoding.UTF8.GetString(text).ShouldBe(written);
        }

        // Beyond the calendar there is nothing better than its end.
        EventTime.FormatLocal(long.MinValue, false, text);
        Encoding.UTF8.GetString(text).ShouldBe("0001-01-01 00:00:00");
    }
}
