using System.Text;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Tests.Records;

/// <summary>Writes JSON by chance: mostly as machines do, with names that repeat often, and all that is allowed but seldom seen.</summary>
internal sealed class RandomJson
{
    private static readonly string[] Names =
        ["stationId", "station_id", "a", "b", "output", "stations", "results", "sendTime", "hostCode", "fee", "weather", "realTimeData", "", "é", "x", "y", "gunPower", "gunNo"];

    private static readonly string[] Scalars =
    [
        "0", "-0", "1", "-17", "3.25", "1e5", "1E+5", "2.5e-3", "12345678901234567890", "true", "false", "null", "\"\"", "\"A\"", "\"B\"", "\"S1\"", "\"0\"", "\"站\"",
        "\"2025-11-04 03:20:00\"", "\"2025-11-04 03:19:00\"", "\"\\u0041\"", "\"\\n\\\"\\\\\"", "\"a text of more than sixteen bytes, with a \\\\ in it\"",
        "\"a text of more than sixteen bytes, and more than thirty-two of them\"", "\"\\ud83d\\ude00\"", "\"\\ud800\"", "\"\u007f\"",
    ];

    private readonly Random random;
    private readonly bool isSpaced;
    private readonly bool repeats;
    private readonly StringBuilder text = new();

    public RandomJson(Random random)
    {
        this.random = random;
        isSpaced = random.Next(4) == 0;
        repeats = random.Next(8) == 0;
    }

    /// <summary>A record that may fit a topic.</summary>
    public byte[] Record(TopicConfiguration topic)
    {
        var form = random.Next(10) == 0 ? EnvelopeKind.List : random.Pick(topic.Envelope).Kind;
        if (random.Next(50) == 0) text.Append('\uFEFF');
        if (form == EnvelopeKind.List) AddList(() => AddObject(2));
        else AddObject(3);
        Blank();
        return Take();
    }

    public byte[] Object(int depth)
    {
        AddObject(depth);
        return Take();
    }

    public byte[] Value(int depth)
    {
        Blank();
        AddValue(depth);
        Blank();
        return Take();
    }

    /// <summary>Changes a little of some bytes, in ways that JSON often survives, and often does not.</summary>
    public static byte[] Mutate(Random random, byte[] json)
    {
        if (json.Length == 0) return [(byte)random.Next(256)];
        var at = random.Next(json.Length);
        var (head, tail) = (json[..at], json[at..]);
        switch (random.Next(9))
        {
            case 0:
                return head;
            case 1:
                return [.. head, (byte)random.Next(256), .. tail[1..]];
            case 2:
                return [.. head, .. random.Pick(Parts), .. tail];
            case 3:
                return [.. head, .. tail[1..]];
            case 4:
                return [.. json, .. random.Pick(Parts)];
            case 5:
                // A part of it once more, or in another's place.
                var from = random.Next(json.Length);
                return [.. head, .. json.AsSpan(from, random.Next(Math.Min(24, json.Length - from) + 1)), .. tail[(random.Next(2) * Math.Min(8, tail.Length))..]];
            case 6:
                return Encoding.Latin1.GetBytes(Encoding.Latin1.GetString(json).Replace(random.Pick(Names[..10]), random.Pick(Names[..10]), StringComparison.Ordinal));
            case 7:
                return Encoding.Latin1.GetBytes(Encoding.Latin1.GetString(json).Replace("\"a", "\"\\u0061", StringComparison.Ordinal));
            default:
                var levels = random.Next(80);
                return [.. head, .. Encoding.ASCII.GetBytes(new string('[', levels) + new string(']', levels)), .. tail];
        }
    }

    private static readonly byte[][] Parts =
    [
        [0x20], [0x0A], [0x00], [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE7, 0xAB, 0x99],
        .. new[] { "0", "1", "-", ".", "e", "1e", "1.", "01", "\"", "\\", "\\u00", "{", "}", "[", "]", ",", ":", "{}", "[]", "null", "\"a\":1,", "\"stationId\":\"A\"," , ",\"a\":[]", "//" }.Select(Encoding.ASCII.GetBytes),
    ];

    private byte[] Take()
    {
        var bytes = Encoding.UTF8.GetBytes(text.ToString());
        text.Clear();
        return bytes;
    }

    private void AddObject(int depth)
    {
        Blank();
        text.Append('{');
        var names = Enumerable.Range(0, random.Next(6)).Select(_ => random.Pick(Names));
        var isFirst = true;
        foreach (var name in random.Next(4) == 0 ? names.Prepend("stationId") : names.Append("stationId").Where((_, place) => place < 9))
        {
            if (!repeats && !isFirst && used.Contains((depth, name))) continue;
            if (isFirst) used.RemoveWhere(pair => pair.Depth == depth);
            used.Add((depth, name));
            if (!isFirst) text.Append(',');
            isFirst = false;
            Blank();
            text.Append('"').Append(random.Next(60) == 0 ? name.Replace("a", "\\u0061", StringComparison.Ordinal) : name).Append('"');
            Blank();
            text.Append(':');
            if (name is "stationId" && random.Next(8) > 0) text.Append(random.Pick(["\"A\"", "\"B\"", "\"C\"", "3", "\"3\""]));
            else if (depth > 1 && random.Next(3) == 0) AddList(() => AddObject(depth - 1));
            else AddValue(depth - 1);
        }

        Blank();
        text.Append('}');
    }

    // The names written so far in the object at each depth.
    private readonly HashSet<(int Depth, string Name)> used = [];

    private void AddValue(int depth)
    {
        Blank();
        var kind = depth > 0 ? random.Next(6) : 5;
        if (kind == 0) AddObject(depth);
        else if (kind == 1) AddList(() => AddValue(depth - 1));
        else text.Append(random.Pick(Scalars));
    }

    private void AddList(Action addElement)
    {
        Blank();
        text.Append('[');
        for (var i = random.Next(4); i > 0; i--)
        {
            addElement();
            Blank();
            if (i > 1) text.Append(',');
        }

        text.Append(']');
    }

    private void Blank()
    {
        if (isSpaced && random.Next(3) == 0) text.Append(random.Pick([" ", "\n", "\t", "\r\n"]));
    }
}

internal static class RandomPick
{
    public static T Pick<T>(this Random random, IReadOnlyList<T> from) => from[random.Next(from.Count)];
}
